#!/bin/sh
# Installs the program and what belongs to it, or removes exactly what was installed. `make install` calls it.
#
#   scripts/install.sh install ROOT PROGRAM MAN_PAGE COMPLETION
#   scripts/install.sh uninstall ROOT
#
# ROOT is DESTDIR and PREFIX. share/pruntrain/installed.txt lists the files, and the folders that were not there before.
# A second installation removes files of the first one that it no longer has.
set -eu
cd "$(dirname "$0")/.."

# Scripts that users call, and the modules that they import.
scripts="report.py pruntrain_io.py plot_history.py plot_sensitivity.py html_page.py report_figures.py run_folder.py packages.py"

action=$1
root=$2
list=share/pruntrain/installed.txt

make_folder() {     # and the folders above it that are missing
    [ -d "$root/$1" ] && return
    make_folder "$(dirname "$1")"
    install -d -m 755 "$root/$1"
    echo "$1/" >>"$new"
}

put() {     # MODE SOURCE TARGET
    make_folder "$(dirname "$3")"
    install -m "$1" "$2" "$root/$3"
    echo "$3" >>"$new"
}

remove_files() {    # that a list on standard input names
    while read -r path; do
        case $path in
            */) ;;
            *) rm -f "$root/$path" ;;
        esac
    done
}

case $action in
install)
    install -d -m 755 "$root"
    new=$(mktemp)
    trap 'rm -f "$new"' EXIT
    if [ -f "$root/$list" ]; then
        grep '/$' "$root/$list" >>"$new" || true
    fi
    put 755 "$3" bin/pruntrain
    put 644 "$4" share/man/man1/pruntrain.1
    put 644 "$5" share/bash-completion/completions/pruntrain
    for script in $scripts; do
        if [ -f "scripts/$script" ]; then put 755 "scripts/$script" "share/pruntrain/scripts/$script"; fi
    done
    for folder in inputs python/pruntrain; do
        [ -d "$folder" ] || continue
        find "$folder" -type f ! -name '*.pyc' ! -name '.*' | LC_ALL=C sort |
            while read -r file; do put 644 "$file" "share/pruntrain/$file"; done
    done
    echo "$list" >>"$new"
    if [ -f "$root/$list" ]; then
        grep -vxF -f "$new" "$root/$list" | remove_files
    fi
    install -m 644 "$new" "$root/$list"
    echo "installed pruntrain in $root"
    ;;
uninstall)
    if [ ! -f "$root/$list" ]; then
        echo "uninstall: there is no $root/$list: was pruntrain installed with another PREFIX or DESTDIR?" >&2
        exit 1
    fi
    folders=$(grep '/$' "$root/$list" | LC_ALL=C sort -ru || true)
    find "$root/share/pruntrain" -name __pycache__ -prune -exec rm -rf {} +     # Python's copies of the scripts
    remove_files <"$root/$list"
    echo "$folders" | while read -r folder; do
        if [ -n "$folder" ]; then rmdir "$root/$folder" 2>/dev/null || true; fi     # keeps a folder with other files
    done
    echo "removed pruntrain from $root"
    ;;
*)
    echo "usage: scripts/install.sh install ROOT PROGRAM MAN_PAGE COMPLETION | uninstall ROOT" >&2
    exit 2
    ;;
esac
