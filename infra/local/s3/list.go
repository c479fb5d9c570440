package s3

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rolecall/infra/local/wire"
)

// listing is ListObjectsV2's answer.
type listing struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys               int
	KeyCount              int
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
	CommonPrefixes        []commonPrefix
}

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
	StorageClass string
}

type commonPrefix struct{ Prefix string }

func (s *Service) listObjects(call *wire.Call, t target) (wire.Response, error) {
	query := call.HTTP.URL.Query()
	out := listing{
		Name: t.bucket, Prefix: query.Get("prefix"), Delimiter: query.Get("delimiter"), StartAfter: query.Get("start-after"),
		EncodingType: query.Get("encoding-type"), ContinuationToken: query.Get("continuation-token"), MaxKeys: 1000,
	}
	if asked := query.Get("max-keys"); asked != "" {
		most, err := strconv.Atoi(asked)
		if err != nil || most < 0 {
			return wire.Response{}, fail(http.StatusBadRequest, "InvalidArgument", "max-keys is not a number of keys: %s", asked)
		}
		out.MaxKeys = min(most, 1000)
	}
	after, err := base64.StdEncoding.DecodeString(out.ContinuationToken)
	if err != nil {
		return wire.Response{}, fail(http.StatusBadRequest, "InvalidArgument", "The continuation token provided is incorrect")
	}
	if err := s.fill(&out, max(string(after), out.StartAfter)); err != nil {
		return wire.Response{}, err
	}
	out.encode()
	return wire.Response{Value: out}, nil
}

// fill lists the keys and common prefixes that come after the given one.
func (s *Service) fill(out *listing, after string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(out.Name)
	if err != nil {
		return err
	}
	last := ""
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if !strings.HasPrefix(key, out.Prefix) {
			continue
		}
		name, folded := fold(key, out.Prefix, out.Delimiter)
		if name <= after || folded && name == last {
			continue
		}
		if out.KeyCount == out.MaxKeys {
			out.IsTruncated, out.NextContinuationToken = out.MaxKeys > 0, base64.StdEncoding.EncodeToString([]byte(last))
			return nil
		}
		out.KeyCount++
		last = name
		if folded {
			out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{name})
			continue
		}
		o := b.objects[key]
		out.Contents = append(out.Contents, listed{key, stamp(o.Modified), o.ETag, len(o.Body), "STANDARD"})
	}
	return nil
}

// fold answers the common prefix that stands for a key, or the key itself.
func fold(key, prefix, delimiter string) (name string, folded bool) {
	if delimiter == "" {
		return key, false
	}
	head, _, found := strings.Cut(key[len(prefix):], delimiter)
	if !found {
		return key, false
	}
	return prefix + head + delimiter, true
}

// encode escapes the names if the client asked for it; boto3 always does.
func (l *listing) encode() {
	if l.EncodingType != "url" {
		return
	}
	escape := func(text *string) { *text = strings.ReplaceAll(url.QueryEscape(*text), "+", "%20") }
	escape(&l.Prefix)
	escape(&l.Delimiter)
	escape(&l.StartAfter)
	for i := range l.Contents {
		escape(&l.Contents[i].Key)
	}
	for i := range l.CommonPrefixes {
		escape(&l.CommonPrefixes[i].Prefix)
	}
}
