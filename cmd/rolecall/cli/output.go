package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"rolecall/cmd/rolecall/printable"
)

// What the program prints goes through this file. Texts may come from the API or the issuer, so none of them gets a control
// character to the terminal. What a command prints that rolecall runs is its own.

// say tells the person something, beside what a program may read.
func (p *Program) say(format string, args ...any) { p.write(p.Err, format+"\n", args) }

// print prints what was asked for.
func (p *Program) print(format string, args ...any) { p.write(p.Out, format, args) }

func (p *Program) write(to io.Writer, format string, args []any) {
	shown := make([]any, 0, len(args))
	for _, arg := range args {
		shown = append(shown, shownAs(arg))
	}
	_, _ = fmt.Fprintf(to, format, shown...) // who does not listen needs no answer
}

// shownAs is one argument's text. Errors of ours have line breaks; whoever makes one of others' words sees to those.
func shownAs(arg any) any {
	switch arg := arg.(type) {
	case own:
		return string(arg)
	case error:
		return printable.Lines(arg.Error())
	}
	return printable.Line(fmt.Sprint(arg))
}

// own is text of this machine's that must be printed as it is, such as a file's name.
type own string

// table prints rows in columns.
func (p *Program) table(rows [][]string) error {
	t := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, printable.Line(cell))
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// json prints a document for programs, which is the same whatever it holds.
func (p *Program) json(document any, indent string) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetIndent("", indent)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return err
	}
	_, err := io.WriteString(p.Out, printable.JSON(text.String()))
	return err
}

// log is for what happens while a command goes on; it quotes what it tells.
func (p *Program) log() *slog.Logger { return slog.New(slog.NewTextHandler(p.Err, nil)) }
