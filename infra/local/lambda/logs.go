package lambda

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// maxLine bounds a log line in bytes; the rest of a longer line is left out.
const maxLine = 64 * 1024

const cutMark = " … (cut)"

// readLines hands each line of r to sink until r ends. A last line without line feed counts too; invalid UTF-8 is
// replaced, so that a binary dump cannot spoil a terminal's encoding.
func readLines(r io.Reader, sink func(line string)) {
	reader := bufio.NewReaderSize(r, 4096)
	var line []byte
	cut := false
	emit := func() {
		text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD")
		if cut {
			text += cutMark
		}
		sink(text)
		line, cut = line[:0], false
	}
	for {
		part, err := reader.ReadSlice('\n')
		room := maxLine - len(line)
		if len(part) > room {
			cut = cut || len(strings.TrimRight(string(part[max(room, 0):]), "\r\n")) > 0
			part = part[:max(room, 0)]
		}
		line = append(line, part...)
		switch {
		case err == nil:
			emit()
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			if len(line) > 0 {
				emit()
			}
			return
		}
	}
}
