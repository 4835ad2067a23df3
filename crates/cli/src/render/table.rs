//! Columns as Go's tabwriter sets them for Docker: at least ten wide, three blanks apart, nothing after the last.

use std::ops::Range;

const MINIMUM: usize = 10;
const GAP: usize = 3;

/// Aligns cells parted by tabs, line by line. As in Go, a column ends where a line has no further tab.
pub(crate) fn align(text: &str) -> String {
    align_from(text, MINIMUM)
}

/// The same with columns of at least `minimum` (`top` has wider ones).
pub(crate) fn align_from(text: &str, minimum: usize) -> String {
    align_with(text, minimum, GAP)
}

/// The same with so many blanks between columns.
pub(crate) fn align_with(text: &str, minimum: usize, gap: usize) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths = vec![Vec::new(); lines.len()];
    block(&lines, &mut widths, 0..lines.len(), 0, (minimum, gap));
    let mut out = String::with_capacity(text.len() * 2);
    for (number, (line, widths)) in lines.iter().zip(&widths).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (column, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(column) {
                out.extend(std::iter::repeat_n(' ', width - columns(cell)));
            }
        }
    }
    out
}

/// Sets the widths of `column` in a part of the lines: neighbouring lines that have the column share it.
fn block(
    lines: &[Vec<&str>],
    widths: &mut [Vec<usize>],
    part: Range<usize>,
    column: usize,
    (minimum, gap): (usize, usize),
) {
    let (mut line, end) = (part.start, part.end);
    while line < end {
        if column + 1 >= lines[line].len() {
            line += 1;
            continue;
        }
        let first = line;
        let mut width = minimum;
        while line < end && column + 1 < lines[line].len() {
            width = width.max(columns(lines[line][column]) + gap);
            line += 1;
        }
        widths[first..line].iter_mut().for_each(|row| row.push(width));
        block(lines, widths, first..line, column + 1, (minimum, gap));
    }
}

fn columns(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_ten_wide_and_three_apart() {
        let shown = align("CONTAINER ID\tIMAGE\tNAMES\n0123456789ab\tnginx\tweb\n");
        assert_eq!(shown, "CONTAINER ID   IMAGE     NAMES\n0123456789ab   nginx     web\n");
    }

    #[test]
    fn a_line_without_the_column_starts_a_new_block() {
        assert_eq!(align("a\tb\nx\naaaaaaaaaaaaa\tb\n"), "a         b\nx\naaaaaaaaaaaaa   b\n");
    }

    #[test]
    fn width_is_counted_in_letters_not_bytes() {
        assert_eq!(
            align("\"nginx -g 'daemon o…\tx\nyyyyyyyyyyyyyyyyyyyy\tx"),
            "\"nginx -g 'daemon o…   x\nyyyyyyyyyyyyyyyyyyyy   x"
        );
    }
}
