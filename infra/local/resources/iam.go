package resources

import (
	"context"
	"net/http"
	"time"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/iam"
	"rolecall/infra/local/wire"
)

type inlinePolicy struct {
	PolicyName     string
	PolicyDocument document
}

type roleProperties struct {
	RoleName                 string
	Path                     string
	Description              string
	AssumeRolePolicyDocument document
	ManagedPolicyArns        []string
	Policies                 []inlinePolicy
	PermissionsBoundary      string
	MaxSessionDuration       integer
	Tags                     []tag
}

func roleSpec(r *cfn.ResourceRequest, in map[string]any) (iam.RoleSpec, error) {
	var p roleProperties
	if err := properties(in, &p); err != nil {
		return iam.RoleSpec{}, err
	}
	spec := iam.RoleSpec{
		Name: p.RoleName, Path: p.Path, Description: p.Description, Trust: p.AssumeRolePolicyDocument.text,
		MaxSession: time.Duration(p.MaxSessionDuration) * time.Second, Boundary: p.PermissionsBoundary,
		Tags: tagMap(p.Tags, r.StackTags), Attached: p.ManagedPolicyArns, Inline: map[string]string{},
	}
	for _, i := range p.Policies {
		spec.Inline[i.PolicyName] = i.PolicyDocument.text
	}
	return spec, nil
}

func roleResult(role iam.Role) cfn.Result {
	return cfn.Result{PhysicalID: role.Name, Attributes: map[string]any{"Arn": role.ARN, "RoleId": role.ID}}
}

func createRole(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		spec, err := roleSpec(r, r.Properties)
		if err != nil {
			return cfn.Result{}, err
		}
		if spec.Name == "" {
			spec.Name = r.Name(64)
		}
		role, err := s.IAM.CreateRole(r.Account, spec)
		if err != nil {
			return cfn.Result{}, err
		}
		return roleResult(role), nil
	}
}

// updateRole changes a role in place, or makes another one where its name or path changes.
func updateRole(s Services) makeStep {
	create := createRole(s)
	return func(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		from, err := roleSpec(r, r.OldProperties)
		if err != nil {
			return cfn.Result{}, err
		}
		to, err := roleSpec(r, r.Properties)
		if err != nil {
			return cfn.Result{}, err
		}
		if from.Name != to.Name || from.Path != to.Path {
			return create(ctx, r)
		}
		from.Name, to.Name = r.PhysicalID, r.PhysicalID
		role, err := s.IAM.UpdateRole(r.Account, from, to)
		if err != nil {
			return cfn.Result{}, err
		}
		return roleResult(role), nil
	}
}

type policyProperties struct {
	PolicyName     string
	PolicyDocument document
	Roles          []string
}

func putPolicy(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p, old policyProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if r.OldProperties != nil {
			if err := properties(r.OldProperties, &old); err != nil {
				return cfn.Result{}, err
			}
		}
		for _, role := range p.Roles {
			if err := s.IAM.PutRolePolicy(r.Account, role, p.PolicyName, p.PolicyDocument.text); err != nil {
				return cfn.Result{}, err
			}
		}
		if old.PolicyName != "" && old.PolicyName != p.PolicyName {
			for _, role := range old.Roles {
				if err := s.IAM.DeleteRolePolicy(r.Account, role, old.PolicyName); err != nil && !isMissing(err) {
					return cfn.Result{}, err
				}
			}
		}
		id := r.PhysicalID
		if id == "" {
			id = r.Name(128)
		}
		return cfn.Result{PhysicalID: id, Attributes: map[string]any{"Id": id}}, nil
	}
}

type rolePolicyProperties struct {
	RoleName       string
	PolicyName     string
	PolicyDocument document
}

func rolePolicy(in map[string]any) (p rolePolicyProperties, err error) {
	err = properties(in, &p)
	return p, err
}

// createRolePolicy takes over no policy that is there already, as AWS's registry demands of all its types.
func createRolePolicy(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		p, err := rolePolicy(r.Properties)
		if err != nil {
			return cfn.Result{}, err
		}
		role, err := s.IAM.Role(r.Account, p.RoleName)
		if err != nil {
			return cfn.Result{}, err
		}
		id := p.PolicyName + "|" + p.RoleName
		if _, there := role.Inline[p.PolicyName]; there {
			return cfn.Result{}, &wire.Error{
				Code: "AlreadyExists", Message: "Resource of type 'AWS::IAM::RolePolicy' with identifier '" + id + "' already exists.", Status: http.StatusConflict,
			}
		}
		return cfn.Result{PhysicalID: id}, s.IAM.PutRolePolicy(r.Account, p.RoleName, p.PolicyName, p.PolicyDocument.text)
	}
}

// updateRolePolicy writes the document, or makes another policy where its role or name changes: the old one stays until the
// stack is updated.
func updateRolePolicy(s Services) makeStep {
	create := createRolePolicy(s)
	return func(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		from, err := rolePolicy(r.OldProperties)
		if err != nil {
			return cfn.Result{}, err
		}
		to, err := rolePolicy(r.Properties)
		if err != nil {
			return cfn.Result{}, err
		}
		if from.RoleName != to.RoleName || from.PolicyName != to.PolicyName {
			return create(ctx, r)
		}
		return cfn.Result{PhysicalID: r.PhysicalID}, s.IAM.PutRolePolicy(r.Account, to.RoleName, to.PolicyName, to.PolicyDocument.text)
	}
}

func removeRolePolicy(s Services) removeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) error {
		p, err := rolePolicy(r.Properties)
		if err != nil {
			return err
		}
		return ignoreMissing(s.IAM.DeleteRolePolicy(r.Account, p.RoleName, p.PolicyName))
	}
}

func registerIAM(e *cfn.Engine, s Services) {
	e.Register("AWS::IAM::Role", provider{createRole(s), updateRole(s), func(_ context.Context, r *cfn.ResourceRequest) error {
		spec, err := roleSpec(r, r.Properties)
		if err != nil {
			return err
		}
		spec.Name = r.PhysicalID
		return ignoreMissing(s.IAM.RemoveRole(r.Account, spec))
	}})
	e.Register("AWS::IAM::RolePolicy", provider{createRolePolicy(s), updateRolePolicy(s), removeRolePolicy(s)})
	e.Register("AWS::IAM::Policy", provider{putPolicy(s), putPolicy(s), func(_ context.Context, r *cfn.ResourceRequest) error {
		var p policyProperties
		if err := properties(r.Properties, &p); err != nil {
			return err
		}
		for _, role := range p.Roles {
			if err := s.IAM.DeleteRolePolicy(r.Account, role, p.PolicyName); err != nil && !isMissing(err) {
				return err
			}
		}
		return nil
	}})
}
