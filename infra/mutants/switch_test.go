package mutants_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A function with mutants gets their bodies as well as its own, each in a closure of the same results:
//
//	func (c Check) passed() (ok bool) {
//		if mutantChosen == "a failed check passes" { return func() (ok bool) { return true }() }
//		…
//	}

// switchable reports whether a mutant can be switched on in a binary that has others, too: it is within the body of a function,
// and its tests run no other programs of ours.
func (m module) switchable(of mutant) bool {
	if of.onLaptop() || filepath.Ext(of.file) != ".go" {
		return false
	}
	source, at, err := m.mutate(of)
	if err != nil {
		return false
	}
	_, f, err := functionAt(source, at, len(of.old))
	return err == nil && f != nil
}

// functionAt is the function whose body holds a piece of the source; nil for none.
func functionAt(source string, at, length int) (*ast.File, *ast.FuncDecl, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Body != nil && offset(f.Body.Lbrace) < at && at+length <= offset(f.Body.Rbrace) {
			return file, f, nil
		}
	}
	return file, nil, nil
}

// offset is where a position is in the only file of its set.
func offset(p token.Pos) int { return int(p) - 1 }

// An insertion is a text to be put into a source.
type insertion struct {
	at   int
	text string
}

// switched is a file's source with mutants to be switched on, and its package.
func (m module) switched(name string, mutants []mutant) (text, pkg string, err error) {
	b, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return "", "", err
	}
	source := string(b)
	var all []insertion
	for _, of := range mutants {
		at := strings.Index(source, of.old)
		file, f, err := functionAt(source, at, len(of.old))
		if err != nil || f == nil {
			return "", "", fmt.Errorf("%s: %s is in no function: %w", name, of.name, err)
		}
		pkg = file.Name.Name
		begin, end, results := offset(f.Body.Lbrace)+1, offset(f.Body.Rbrace), ""
		if f.Type.Results != nil {
			results = source[offset(f.Type.Results.Pos()):offset(f.Type.Results.End())]
		}
		body := "func() " + results + " {" + source[begin:at] + of.new + source[at+len(of.old):end] + "}()"
		if results == "" {
			body += "; return"
		} else {
			body = "return " + body
		}
		// What the compiler has to say of a mutant it says by the mutant's name.
		text := fmt.Sprintf("\n//line %s:1\nif mutantChosen == %q { %s }\n//line %s:%d\n", of.name, of.name, body, filepath.Base(name), 1+strings.Count(source[:begin], "\n"))
		all = append(all, insertion{begin, text})
	}
	slices.SortStableFunc(all, func(a, b insertion) int { return b.at - a.at })
	for _, one := range all {
		source = source[:one.at] + one.text + source[one.at:]
	}
	return source, pkg, nil
}
