package iam

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// items is a list as the Query protocol writes it: there even when it is empty, which some clients insist on.
type items[T any] struct {
	Members []T `xml:"member"`
}

type tagXML struct{ Key, Value string }

func tagsXML(tags map[string]string) items[tagXML] {
	var out items[tagXML]
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.Members = append(out.Members, tagXML{key, tags[key]})
	}
	return out
}

type boundaryXML struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  string
}

func boundaryOf(arn string) *boundaryXML {
	if arn == "" {
		return nil
	}
	return &boundaryXML{"Policy", arn}
}

type roleXML struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	PermissionsBoundary      *boundaryXML `xml:",omitempty"`
	Tags                     items[tagXML]
}

func (r Role) xml() roleXML {
	return roleXML{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, Arn: r.ARN, CreateDate: stamp(r.Created),
		AssumeRolePolicyDocument: urlEncoded(r.Trust), Description: r.Description, MaxSessionDuration: int(r.MaxSession.Seconds()),
		PermissionsBoundary: boundaryOf(r.Boundary), Tags: tagsXML(r.Tags),
	}
}

type userXML struct {
	Path                string `xml:",omitempty"`
	UserName            string `xml:",omitempty"`
	UserID              string `xml:"UserId"`
	Arn                 string
	CreateDate          string
	PermissionsBoundary *boundaryXML `xml:",omitempty"`
	Tags                items[tagXML]
}

func (u User) xml() userXML {
	return userXML{
		Path: u.Path, UserName: u.Name, UserID: u.ID, Arn: u.ARN, CreateDate: stamp(u.Created),
		PermissionsBoundary: boundaryOf(u.Boundary), Tags: tagsXML(u.Tags),
	}
}

const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

type accessKeyXML struct {
	UserName        string `xml:",omitempty"`
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey string `xml:",omitempty"` // in CreateAccessKey's answer only
	CreateDate      string
}

func (k accessKey) xml() accessKeyXML {
	status := statusActive
	if !k.active {
		status = statusInactive
	}
	return accessKeyXML{UserName: k.user, AccessKeyID: k.id, Status: status, CreateDate: stamp(k.created)}
}

type attachedXML struct{ PolicyName, PolicyArn string }

type policyXML struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	Arn                           string
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    string
	UpdateDate                    string
	Tags                          items[tagXML]
}

func (p managedPolicy) xml(attached, bounding int) policyXML {
	return policyXML{
		PolicyName: p.name, PolicyID: p.id, Arn: p.arn, Path: p.path, DefaultVersionID: p.versionID(), AttachmentCount: attached,
		PermissionsBoundaryUsageCount: bounding, IsAttachable: true, Description: p.description,
		CreateDate: stamp(p.created), UpdateDate: stamp(p.updated), Tags: tagsXML(p.tags),
	}
}

func (p managedPolicy) versionID() string { return "v" + strconv.Itoa(p.version) }

type versionXML struct {
	Document         string
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       string
}

// urlEncoded writes a policy as IAM shows it: percent-encoded by RFC 3986, so a space is %20.
func urlEncoded(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
