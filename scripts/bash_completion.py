"""The completion of bash, of what the program says of itself: commands, options, configuration keys and their words."""

import shlex

FUNCTION = r"""
# Completes the word under the cursor by these words. Keys end in =, and a value follows.
_pruntrain_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
    [[ ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace 2>/dev/null
}

# Completes the word under the cursor by folders, and by files whose names end in one of the suffixes.
_pruntrain_files() {
    local word=$1 suffix
    shift
    mapfile -t COMPREPLY < <(compgen -d -- "$word"; for suffix; do compgen -f -X "!*$suffix" -- "$word"; done)
    compopt -o filenames 2>/dev/null
}

_pruntrain() {
    local word=${COMP_WORDS[COMP_CWORD]} name=${COMP_WORDS[COMP_CWORD-1]} command="" file="" number=0 i
    # Bash takes key=value for three words.
    if [[ $word == = ]]; then
        word=""
    elif [[ $name == = ]]; then
        name=${COMP_WORDS[COMP_CWORD-2]}
    elif [[ $name != --* ]]; then
        name=""
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        local one=${COMP_WORDS[i]} before=${COMP_WORDS[i-1]}
        if [[ -z $command && -z $file && -n ${_pruntrain_options[${one:--}]} ]]; then
            command=$one
        elif [[ $one != -* && $one != = && $before != = && -z ${_pruntrain_takes_value[${before:--}]} ]]; then
            file=$one
        fi
    done

    if [[ $name =~ ^([a-z_]+)\.([0-9]+)\.(.*)$ ]]; then
        name="${BASH_REMATCH[1]}.[].${BASH_REMATCH[3]}"
    fi
    if [[ -n $name && -n ${_pruntrain_values[${name:--}]} ]]; then
        _pruntrain_words "${_pruntrain_values[$name]}" "$word"
    elif [[ $name == --cluster ]]; then
        _pruntrain_files "$word" .yaml .yml
    elif [[ ${_pruntrain_takes_value[${name:--}]} == FILE || ($name == *.* && $name != --*) ]]; then
        _pruntrain_files "$word" ""
    elif [[ -n ${_pruntrain_takes_value[${name:--}]} ]]; then
        COMPREPLY=()
    elif [[ $word == -* ]]; then
        _pruntrain_words "${_pruntrain_options[${command:-main program}]}" "$word"
    elif [[ $command == monitor ]]; then
        _pruntrain_files "$word"
    elif [[ -n $file && $command != inspect ]]; then
        [[ $word =~ ^[a-z_]+\.([0-9]+)\. ]] && number=${BASH_REMATCH[1]}
        _pruntrain_words "${_pruntrain_keys//\[\]/$number}" "$word"
    elif [[ -n $command ]]; then
        _pruntrain_files "$word" .h5
    else
        _pruntrain_files "$word" .yaml .yml
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$_pruntrain_commands" -- "$word")
    fi
}

complete -F _pruntrain pruntrain
"""


def array(name, entries):
    lines = "".join(f"    [{shlex.quote(key)}]={shlex.quote(value)}\n" for key, value in entries.items())
    return f"declare -gA {name}=(\n{lines})\n"


def completion(program):
    """@param program  a command_help.Program"""
    commands = {"main program": program.main, **{command.name: command for command in program.commands}}
    options = {name: " ".join(n for option in command.section("Options") for n in option.names) for name, command in commands.items()}
    takes_value = {name: option.value for command in commands.values() for option in command.section("Options") if option.value
                   for name in option.names}
    values = {name: " ".join(option.choices) for command in commands.values() for option in command.section("Options")
              if option.choices for name in option.names}
    keys = set()
    for key in program.keys:
        if key["member"] == "--cluster FILE":       # keys of another file
            continue
        name = key["key"]
        if name.split(".")[-1].isupper():           # a table: any name may follow
            keys.add(name.rpartition(".")[0] + ".")
            continue
        keys.add(name + "=")
        words = {"word": (key["allowed"] or "").split(" | "), "true or false": ["true", "false"]}.get(key["type"], [])
        if words:
            values[name] = " ".join(dict.fromkeys([*values.get(name, "").split(), *words]))
            if name.endswith(".type"):              # criterion=magnitude is short for criterion.type=magnitude
                values[name.removesuffix(".type")] = values[name]
                keys.add(name.removesuffix(".type") + "=")
    return "".join([
        f"# bash completion for pruntrain {program.version}, made by scripts/make_man.py of what the program says of itself\n\n",
        f"_pruntrain_commands={shlex.quote(' '.join(command.name for command in program.commands))}\n",
        f"_pruntrain_keys={shlex.quote(' '.join(sorted(keys)))}\n",
        array("_pruntrain_options", options), array("_pruntrain_takes_value", takes_value), array("_pruntrain_values", values), FUNCTION])

