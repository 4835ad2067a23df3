#compdef hako
# zsh completion for hako
_hako() {
    local -a found shown
    local line word
    while IFS= read -r line; do
        word=${line%%$'\t'*}
        found+=("$word")
        if [[ $line == *$'\t'* ]]; then
            shown+=("$word  -- ${line#*$'\t'}")
        else
            shown+=("$word")
        fi
    done < <(hako __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        compadd -d shown -a found
    else
        _files
    fi
}
if [ "$funcstack[1]" = "_hako" ]; then
    _hako "$@"
else
    compdef _hako hako
fi
