package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"

	"rolecall/shared/connect"
)

// UpdateConnection is the body that renames a connection or moves its default Region. At least one member is given.
type UpdateConnection struct {
	Name          *string `json:"name,omitempty" doc:"1 to 64 characters, reserved for ever like the first name; the connection may take any of its earlier names again." minLength:"1" maxLength:"64"`
	DefaultRegion *string `json:"defaultRegion,omitempty" doc:"Where a stack is launched from now on, and where AWS is asked first."`
}

type updateInput struct {
	ID      string `path:"id" doc:"The connection's id."`
	IfMatch string `header:"If-Match" doc:"The ETag of the connection as you know it; 412 if it has changed since."`
	Body    UpdateConnection
}

func (a api) updateOperation() operation {
	return does(operation{
		route: "PATCH /v1/connections/{id}", id: "updateConnection", summary: "Rename a connection or move its default Region",
		about: "A new name is reserved for ever, and the old one stays so. What is already as asked for changes nothing and " +
			"makes no version.",
		answers: []answer{{status: http.StatusOK, body: reflect.TypeFor[Connection](), headers: []string{"ETag"}}},
	}, a.update)
}

func (a api) update(ctx context.Context, c call, in updateInput) (reply, error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return reply{}, err
	}
	if in.Body.Name == nil && in.Body.DefaultRegion == nil {
		return reply{}, newProblem(http.StatusBadRequest, codeNothingGiven, "the body names nothing to change",
			"Give name, defaultRegion, or both.")
	}
	changed, err := a.Connections.Update(ctx, connect.UpdateRequest{
		Target: target(c, in.ID, version), Name: in.Body.Name, DefaultRegion: in.Body.DefaultRegion,
	})
	if err != nil {
		return reply{}, err
	}
	return a.shown(ctx, c, changed), nil
}

// shown answers with a connection that was changed. The change has been made, so a launch that cannot be shown now does
// not make it a failure: it can be read any time.
func (a api) shown(ctx context.Context, c call, changed connect.Connection) reply {
	re, err := a.one(ctx, c, changed)
	if err != nil {
		a.Log.WarnContext(ctx, "launch not shown", slog.String("connectionId", string(changed.ID())), slog.Any("error", err))
	}
	return re
}
