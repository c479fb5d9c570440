package mutants_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mechanism that finds every mutant dead looks like a module in order, so it is shown some that are not.
func TestTheMechanismCatches(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example\n\ngo 1.24\n",
		"a/a.go":     "package a\n\n// Least is a defence.\nconst Least = 3\n\n// Most is none.\nconst Most = 9\n",
		"a/sum.go":   "package a\n\nimport \"errors\"\n\nfunc Sum(a, b int) (n int, err error) {\n\tif a < 0 {\n\t\treturn 0, errors.New(\"negative\")\n\t}\n\tn = a + b\n\treturn\n}\n\ntype Count struct{ n int }\n\nfunc (c *Count) Add(_ string) { c.n++ }\n",
		"a/data.go":  "package a\n\nimport _ \"embed\"\n\n//go:embed data.txt\nvar Data string\n",
		"a/data.txt": "whole",
		"a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestLeast(t *testing.T) {\n\tif Least != 3 {\n\t\tt.Error(Least)\n\t}\n}\n\n" +
			"func TestRows(t *testing.T) {\n\tt.Run(\"least\", func(t *testing.T) {\n\t\tif Least != 3 {\n\t\t\tt.Error(Least)\n\t\t}\n\t})\n}\n\n" +
			"func TestData(t *testing.T) {\n\tif Data != \"whole\" {\n\t\tt.Error(Data)\n\t}\n}\n\nfunc TestNothing(*testing.T) {}\n\n" +
			"func TestSum(t *testing.T) {\n\tif n, err := Sum(1, 2); n != 3 || err != nil {\n\t\tt.Error(n, err)\n\t}\n\tif _, err := Sum(-1, 2); err == nil {\n\t\tt.Error(\"negative\")\n\t}\n}\n\n" +
			"func TestCount(t *testing.T) {\n\tvar c Count\n\tif c.Add(\"\"); c.n != 1 {\n\t\tt.Error(c.n)\n\t}\n}\n",
		"b/a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestNothing(*testing.T) {}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := openModule(root)
	if err != nil {
		t.Fatal(err)
	}
	table := []struct {
		of   mutant
		want string // "" where the mutant dies
	}{
		{mutant{"dies", "a/a.go", "Least = 3", "Least = 2", "a.TestLeast"}, ""},
		{mutant{"dies by a subtest", "a/a.go", "Least = 3", "Least = 2", "a.TestRows/least"}, ""},
		{mutant{"dies by two", "a/a.go", "Least = 3", "Least = 2", "a.TestLeast a.TestRows"}, ""},
		{mutant{"dies by a switch", "a/sum.go", "a < 0", "false", "a.TestSum"}, ""},
		{mutant{"dies by another switch", "a/sum.go", "a + b", "a - b", "a.TestSum"}, ""},
		{mutant{"dies without results", "a/sum.go", "c.n++", "c.n += 2", "a.TestCount"}, ""},
		{mutant{"survives a switch", "a/sum.go", "c.n++", "c.n += 1", "a.TestCount"}, "SURVIVES a.TestCount"},
		{mutant{"is no Go file", "a/data.txt", "whole", "half", "a.TestData"}, ""},
		{mutant{"survives", "a/a.go", "Most = 9", "Most = 8", "a.TestLeast"}, "SURVIVES a.TestLeast"},
		{mutant{"survives the second test", "a/a.go", "Least = 3", "Least = 2", "a.TestLeast a.TestData"}, "SURVIVES a.TestData"},
		{mutant{"does not build", "a/a.go", "Least = 3", "Least = undefined", "a.TestLeast"}, "NOT TRIED"},
		{mutant{"is gone", "a/a.go", "Least = 4", "Least = 2", "a.TestLeast"}, "holds 0 times"},
		{mutant{"is there twice", "a/a.go", "const", "var", "a.TestLeast"}, "holds 2 times"},
		{mutant{"has no file", "a/b.go", "Least", "Most", "a.TestLeast"}, "no such file"},
		{mutant{"changes nothing", "a/a.go", "Least = 3", "Least = 3", "a.TestLeast"}, "changes nothing"},
		{mutant{"has no test", "a/a.go", "Least = 3", "Least = 2", ""}, "no test is named"},
		{mutant{"has a test that is gone", "a/a.go", "Least = 3", "Least = 2", "a.TestGone"}, "0 packages have a test a.TestGone"},
		{mutant{"has a subtest that is gone", "a/a.go", "Least = 3", "Least = 2", "a.TestRows/gone"}, "there is no such test"},
		{mutant{"has two tests of one name", "a/a.go", "Least = 3", "Least = 2", "a.TestNothing"}, "2 packages have a test a.TestNothing"},
	}
	var all []mutant
	for _, tt := range table {
		all = append(all, tt.of)
	}
	w, err := m.open(t.TempDir(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range table {
		err := w.try(t.Context(), tt.of, t.TempDir())
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.of.name, err, tt.want)
		}
	}
}
