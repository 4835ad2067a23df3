# fish completion for hako
function __hako_complete
    set -l words (commandline -opc) (commandline -ct)
    hako __complete $words[2..-1] 2>/dev/null
end
complete -c hako -a '(__hako_complete)'
