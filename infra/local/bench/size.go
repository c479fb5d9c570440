package main

import (
	"archive/zip"
	"errors"
	"io"
	"os"
)

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// zipSize is how large a file is once it is packed as CDK packs assets: a deflated zip.
func zipSize(path string) (int64, error) {
	source, err := os.Open(path) //nolint:gosec // the path is this program's argument
	if err != nil {
		return 0, err
	}
	defer func() { _ = source.Close() }()
	var packed counter
	archive := zip.NewWriter(&packed)
	entry, err := archive.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(entry, source)
	return int64(packed), errors.Join(err, archive.Close())
}

// A counter is a writer that keeps only how much it was given.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
