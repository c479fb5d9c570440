package s3

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // Content-MD5 is what it says
	"crypto/sha1" //nolint:gosec // one of S3's checksum algorithms
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

const checksumPrefix = "X-Amz-Checksum-"

// readBody answers what an upload holds and the checksums that came with it, all of them compared with the content. SDKs
// send the body either as it is or "aws-chunked", with the checksum in a trailer.
func readBody(header http.Header, body []byte) ([]byte, http.Header, error) {
	given := http.Header{}
	for name, values := range header {
		if strings.HasPrefix(name, checksumPrefix) {
			given[name] = values
		}
	}
	if isChunked(header) {
		content, trailer, err := unchunk(body)
		if err != nil {
			return nil, nil, err
		}
		if declared := header.Get("X-Amz-Decoded-Content-Length"); declared != "" && declared != strconv.Itoa(len(content)) {
			return nil, nil, fail(http.StatusBadRequest, "IncompleteBody",
				"You did not provide the number of bytes specified by the Content-Length HTTP header")
		}
		for name, values := range trailer {
			if strings.HasPrefix(name, checksumPrefix) {
				given[name] = values
			}
		}
		body = content
	}
	return body, given, verify(header, given, body)
}

func isChunked(header http.Header) bool {
	return strings.HasPrefix(header.Get("X-Amz-Content-Sha256"), "STREAMING-") ||
		slices.Contains(encodings(header), "aws-chunked")
}

// encodings splits Content-Encoding.
func encodings(header http.Header) []string {
	var out []string
	for part := range strings.SplitSeq(header.Get("Content-Encoding"), ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// unchunk undoes aws-chunked: lines of a size in hexadecimal with an optional ";chunk-signature=…", the chunk, and after
// the chunk of size 0 the trailing headers.
func unchunk(body []byte) ([]byte, http.Header, error) {
	broken := func() error {
		return fail(http.StatusBadRequest, "InvalidRequest", "The aws-chunked body is malformed.")
	}
	var content []byte
	for {
		line, rest, found := bytes.Cut(body, []byte("\r\n"))
		text, _, _ := strings.Cut(string(line), ";")
		size, err := strconv.ParseUint(text, 16, 31)
		if !found || err != nil {
			return nil, nil, broken()
		}
		if size == 0 {
			return content, trailing(rest), nil
		}
		if uint64(len(rest)) < size+2 || string(rest[size:size+2]) != "\r\n" {
			return nil, nil, broken()
		}
		content, body = append(content, rest[:size]...), rest[size+2:]
	}
}

func trailing(rest []byte) http.Header {
	out := http.Header{}
	for line := range strings.SplitSeq(string(rest), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			out.Set(textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value))
		}
	}
	return out
}

// verify compares the checksums that were given with the content.
func verify(header, checksums http.Header, content []byte) error {
	if want := header.Get("Content-Md5"); want != "" {
		if sum := md5.Sum(content); base64.StdEncoding.EncodeToString(sum[:]) != want { //nolint:gosec // Content-MD5
			return fail(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
	}
	for name := range checksums {
		algorithm := strings.ToLower(strings.TrimPrefix(name, checksumPrefix))
		h := checksum(algorithm)
		if h == nil {
			continue // "…-Algorithm", "…-Mode" and "…-Type" are no checksums
		}
		h.Write(content)
		if base64.StdEncoding.EncodeToString(h.Sum(nil)) != checksums.Get(name) {
			return fail(http.StatusBadRequest, "BadDigest", "The %s you specified did not match the calculated checksum.", algorithm)
		}
	}
	return nil
}

// nvme is the polynomial of CRC-64/NVME, reversed as [crc64.MakeTable] wants it.
const nvme = 0x9a6c9329ac4bc9b5

func checksum(algorithm string) hash.Hash {
	switch algorithm {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case "sha1":
		return sha1.New() //nolint:gosec // the client chose it
	case "sha256":
		return sha256.New()
	}
	return nil
}
