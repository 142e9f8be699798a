#!/bin/sh
# Pictures of mails, as a desk and a phone show them, light and dark.
#
#   tests/screenshots.sh [-o FOLDER] [FILE.html …]
#
# Without files the demo is run, and its report and three of its mails are taken. Chromium is installed by apt-get where it is missing.
set -eu

folder=target/screenshots
if [ "${1:-}" = -o ]; then
    folder=$2
    shift 2
fi
mkdir -p "$folder"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ $# -eq 0 ]; then
    cargo run --quiet -- demo --output "$work/demo" >/dev/null
    python3 - "$work/demo" <<'PYTHON'
import email, email.policy, pathlib, sys
demo = pathlib.Path(sys.argv[1])
mails = sorted((demo / "mails").iterdir())
for number, path in enumerate(mails[:2] + mails[-1:], 1):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    (demo / f"mail-{number}.html").write_text(mail.get_body(("html",)).get_content())
PYTHON
    set -- "$work"/demo/*.html
fi

for name in chromium chromium-browser google-chrome; do
    chromium=$(command -v "$name") && break
done
if [ -z "${chromium:-}" ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-liberation >/dev/null
    chromium=$(command -v chromium)
fi

run() {
    "$chromium" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 \
        --user-data-dir="$work/profile" "$@" 2>/dev/null
}

# A window cannot be as narrow as a phone, a frame can; and a frame tells how long the mail is.
frame() {
    python3 - "$1" "$2" <<'PYTHON'
import html, pathlib, sys
mail, width = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]
print(f"""<!doctype html><meta name="color-scheme" content="light dark"><style>body{{margin:0}}iframe{{border:0;display:block}}</style>
<iframe width="{width}" height="600" srcdoc="{html.escape(mail)}"
 onload="var h=this.contentDocument.documentElement.scrollHeight;this.height=h;document.title='height '+h+' wide '+this.contentDocument.documentElement.scrollWidth"></iframe>""")
PYTHON
}

for file in "$@"; do
    base=$(basename "$file" .html)
    for width in 1280 375; do
        frame "$file" "$width" >"$work/frame.html"
        title=$(run --window-size=1280,800 --virtual-time-budget=3000 --dump-dom "file://$work/frame.html" |
            sed -n 's/.*<title>height \([0-9]*\) wide \([0-9]*\)<.*/\1 \2/p' | head -1)
        height=${title% *}
        wide=${title#* }
        if [ "$wide" -gt "$width" ]; then
            echo "$base is $wide pixels wide at $width: it has to be scrolled sideways" >&2
            exit 1
        fi
        # Very long mails are cut: the picture is for the eye.
        [ "$height" -le 6000 ] || height=6000
        for scheme in light dark; do
            # Blink's PreferredColorScheme: 0 is dark, 1 is light.
            [ "$scheme" = dark ] && number=0 || number=1
            run --window-size="$width,$height" --blink-settings=preferredColorScheme="$number" \
                --virtual-time-budget=3000 --screenshot="$work/picture.png" "file://$work/frame.html" >/dev/null
            mv "$work/picture.png" "$folder/$base-$width-$scheme.png"
            echo "$folder/$base-$width-$scheme.png"
        done
    done
done
