package connect

import (
	"context"
	"time"
)

// An Update is what a tenant may change of a connection at any time; nil leaves a member as it is.
type Update struct {
	Name          *Name
	DefaultRegion *Region
}

// Update renames a connection or moves its default Region. The new name is reserved for ever, and so are all names that
// the connection has had: each of them is this connection's alone. ok is false where nothing would change.
func (c Connection) Update(up Update, now time.Time, by Actor) (ch Change, ok bool, err error) {
	if c.s.Status == StatusDeleted {
		return Change{}, false, c.must("be changed")
	}
	data := map[string]any{}
	renamed := up.Name != nil && *up.Name != c.s.Name
	if renamed {
		data["name"], data["previousName"] = string(*up.Name), string(c.s.Name)
	}
	moved := up.DefaultRegion != nil && *up.DefaultRegion != c.s.DefaultRegion
	if moved {
		data["defaultRegion"], data["previousDefaultRegion"] = string(*up.DefaultRegion), string(c.s.DefaultRegion)
	}
	if !renamed && !moved {
		return Change{}, false, nil
	}
	ch = c.change(EventUpdated, by, now, data, func(s *Snapshot) {
		if renamed {
			s.Name = *up.Name
		}
		if moved {
			s.DefaultRegion = *up.DefaultRegion
		}
	})
	ch.name = renamed
	return ch, true, nil
}

// An UpdateRequest asks for an Update, in the caller's words.
type UpdateRequest struct {
	Target
	Name          *string
	DefaultRegion *string
}

// Update changes a connection. What is as it was asked for already changes nothing and makes no version.
func (u Connections) Update(ctx context.Context, r UpdateRequest) (Connection, error) {
	var up Update
	if r.Name != nil {
		name, err := ParseName(*r.Name)
		if err != nil {
			return Connection{}, err
		}
		up.Name = &name
	}
	if r.DefaultRegion != nil {
		region, err := u.region(*r.DefaultRegion)
		if err != nil {
			return Connection{}, err
		}
		up.DefaultRegion = &region
	}
	return u.change(ctx, r.Target, nil, func(c Connection) (Change, error) {
		ch, ok, err := c.Update(up, u.Clock(), r.By)
		if err == nil && !ok {
			return Change{}, errNothing
		}
		return ch, err
	})
}

// region reads a Region of the deployment's own partition.
func (u Connections) region(text string) (Region, error) {
	r, err := ParseRegion(text)
	if err != nil {
		return "", err
	}
	if p := u.Deployment.Platform.Partition; r.Partition() != p {
		return "", &Error{
			Kind: KindInvalid, Code: CodePartitionMismatch, Message: "this Region is of another partition",
			Fix: "Choose a Region of " + string(p) + ".",
		}
	}
	return r, nil
}
