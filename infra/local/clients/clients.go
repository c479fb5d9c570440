// Package clients has programs in other languages that use an AWS SDK and know nothing of Rolecall, for tests: a service that
// makes five calls, waits until its credentials are about to end, and makes five more.
package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed all:javascript client.py
var files embed.FS

// Python puts the program for boto3 below folder and answers its path. Its one argument is how many seconds it waits.
func Python(folder string) (string, error) {
	text, err := files.ReadFile("client.py")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "client.py")
	return path, os.WriteFile(path, text, 0o600)
}

// JavaScript installs the program for the SDK for JavaScript, as its lock file has it, below folder, unless the same is there
// already, and answers its path. It is called as Python's. Several processes may do this at the same time.
func JavaScript(ctx context.Context, folder string) (string, error) {
	source, err := fs.Sub(files, "javascript")
	if err != nil {
		return "", err
	}
	sum, err := hashOf(source)
	if err != nil {
		return "", err
	}
	done := filepath.Join(folder, "javascript-"+sum)
	program := filepath.Join(done, "client.mjs")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(folder, "installing-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	made := filepath.Join(work, "made")
	if err := os.CopyFS(made, source); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--loglevel=error")
	cmd.Dir = made
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, bytes.TrimSpace(out))
	}
	// Whoever is first has made it for all.
	if err := os.Rename(made, done); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(program); there != nil {
			return "", err
		}
	}
	return program, nil
}

// hashOf names what was installed, so that a change is installed anew.
func hashOf(source fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(source, path)
		_, _ = fmt.Fprintf(h, "%s %d\n%s", path, len(text), text) // a hash never fails
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), err
}
