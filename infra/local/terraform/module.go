package terraform

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// addModule reads a call of another module.
func (c *Configuration) addModule(b *hclsyntax.Block) error {
	if len(b.Body.Blocks) > 0 || b.Body.Attributes["source"] == nil {
		return fmt.Errorf("terraform: module %s: a block, or no source", b.Labels[0])
	}
	n := &node{kind: "module", name: b.Labels[0], address: "module." + b.Labels[0], attributes: hclsyntax.Attributes{}}
	for name, a := range b.Body.Attributes {
		if name == "version" || name == "providers" || name == "count" || name == "for_each" {
			return fmt.Errorf("terraform: module %s: unknown argument %s", n.name, name)
		}
		n.attributes[name] = a
	}
	return c.put(n)
}

// call applies the module of a call in the same account, and answers its outputs.
func (a *application) call(ctx context.Context, arguments map[string]cty.Value) (cty.Value, error) {
	files, err := a.download(ctx, arguments["source"].AsString())
	if err != nil {
		return cty.NilVal, err
	}
	delete(arguments, "source")
	inner, err := Read(files)
	if err != nil {
		return cty.NilVal, err
	}
	outputs, err := inner.Apply(ctx, a.account, arguments)
	return cty.ObjectVal(outputs), err
}

// download fetches an archive as Terraform's own go-getter does: what the query calls checksum must be the archive's, and
// is no part of the request. That getter takes more kinds of sources; here they are errors.
func (a *application) download(ctx context.Context, source string) (*zip.Reader, error) {
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "https" || !strings.HasSuffix(u.Path, ".zip") || a.account.Get == nil {
		return nil, fmt.Errorf("terraform: the source %q is no zip file that can be fetched", source)
	}
	query := u.Query()
	sum, named := strings.CutPrefix(query.Get("checksum"), "sha256:")
	query.Del("checksum")
	u.RawQuery = query.Encode()
	body, err := a.account.Get(ctx, u.String())
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(body); !named || hex.EncodeToString(got[:]) != sum {
		return nil, errors.New("terraform: Checksums did not match")
	}
	return zip.NewReader(bytes.NewReader(body), int64(len(body)))
}
