// Package assembly reads what `cdk synth` wrote: the stacks in the order in which they must be deployed, and their
// assets.
package assembly

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// An Assembly is a folder that the CDK app filled.
type Assembly struct {
	Stacks []Stack // those that others depend on come first
	Files  []File
	dirs   map[string]string // folder of an unpacked asset, by its object key
}

// A Stack is one CloudFormation stack of the app.
type Stack struct {
	Name     string
	Account  string
	Region   string
	Template string // the template's text
}

// A File is an asset that CDK would upload as it is.
type File struct {
	Bucket string
	Region string
	Key    string
	Body   []byte
}

type manifest struct {
	Artifacts map[string]struct {
		Type         string
		Environment  string
		Dependencies []string
		Properties   struct{ TemplateFile, StackName string }
	}
}

type assetManifest struct {
	Files map[string]struct {
		Source       struct{ Path, Packaging string }
		Destinations map[string]struct{ BucketName, ObjectKey, Region string }
	}
}

// Read reads the assembly in dir.
func Read(dir string) (*Assembly, error) {
	var m manifest
	if err := readJSON(filepath.Join(dir, "manifest.json"), &m); err != nil {
		return nil, err
	}
	a := &Assembly{dirs: map[string]string{}}
	if err := a.readStacks(dir, m); err != nil {
		return nil, err
	}
	return a, a.readAssets(dir)
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path) //nolint:gosec // a path below the assembly's folder
	if err != nil {
		return fmt.Errorf("cloud assembly: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cloud assembly: %s: %w", path, err)
	}
	return nil
}

// readStacks visits the artifacts by name, dependencies first.
func (a *Assembly) readStacks(dir string, m manifest) error {
	done := map[string]bool{}
	var visit func(id string) error
	visit = func(id string) error {
		art, known := m.Artifacts[id]
		if done[id] || !known {
			return nil
		}
		done[id] = true
		for _, d := range art.Dependencies {
			if err := visit(d); err != nil {
				return err
			}
		}
		if art.Type != "aws:cloudformation:stack" {
			return nil
		}
		return a.readStack(dir, id, art.Properties.StackName, art.Properties.TemplateFile, art.Environment)
	}
	ids := make([]string, 0, len(m.Artifacts))
	for id := range m.Artifacts {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		if err := visit(id); err != nil {
			return err
		}
	}
	return nil
}

func (a *Assembly) readStack(dir, id, name, file, environment string) error {
	account, region, ok := strings.Cut(strings.TrimPrefix(environment, "aws://"), "/")
	if !ok {
		return fmt.Errorf("cloud assembly: stack %s has no environment", id)
	}
	text, err := os.ReadFile(filepath.Join(dir, file)) //nolint:gosec // named by the assembly's own manifest
	if err != nil {
		return fmt.Errorf("cloud assembly: %w", err)
	}
	if name == "" {
		name = id
	}
	a.Stacks = append(a.Stacks, Stack{Name: name, Account: account, Region: region, Template: string(text)})
	return nil
}

func (a *Assembly) readAssets(dir string) error {
	manifests, err := filepath.Glob(filepath.Join(dir, "*.assets.json"))
	if err != nil {
		return fmt.Errorf("cloud assembly: %w", err)
	}
	slices.Sort(manifests)
	for _, path := range manifests {
		var m assetManifest
		if err := readJSON(path, &m); err != nil {
			return err
		}
		for _, f := range m.Files {
			for _, d := range f.Destinations {
				source := filepath.Join(dir, f.Source.Path)
				if f.Source.Packaging == "zip" {
					a.dirs[d.ObjectKey] = source
					continue
				}
				body, err := os.ReadFile(source) //nolint:gosec // named by the assembly's own manifest
				if err != nil {
					return fmt.Errorf("cloud assembly: %w", err)
				}
				a.Files = append(a.Files, File{Bucket: d.BucketName, Region: d.Region, Key: d.ObjectKey, Body: body})
			}
		}
	}
	return nil
}

// Asset is the unpacked folder that CDK would upload as a zip file under the key.
func (a *Assembly) Asset(key string) (string, error) {
	if d, ok := a.dirs[key]; ok {
		return d, nil
	}
	return "", fmt.Errorf("the cloud assembly has no asset %q", key)
}
