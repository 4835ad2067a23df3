# bash completion for hako
_hako() {
    local IFS=$'\n' line words
    words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <(hako __complete "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]]; then
        compopt -o nospace
    fi
    __ltrim_colon_completions "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null
}
complete -o default -F _hako hako
