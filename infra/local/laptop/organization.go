package laptop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"rolecall/infra/local/organizations"
	"rolecall/infra/local/wire"
)

// Authorize asks the organization's policies before the account's own, as AWS does.
func (l *Laptop) Authorize(p wire.Principal, need wire.Need) error {
	if err := l.Organizations.Forbids(p, need); err != nil {
		return err
	}
	return l.IAM.Authorize(p, need)
}

// createOrganization makes an organization with accounts, which in AWS takes invitations and e-mail: accounts by number, or
// so many of them from the one behind the management account on.
func (l *Laptop) createOrganization(w http.ResponseWriter, r *http.Request) {
	var in struct {
		organizations.Organization
		Count int `json:"count"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in.Count < 0 || in.Count > maxAccounts {
		http.Error(w, `send {"id": "o-…", "managementAccount": "…", "root": "r-…", "count": 50}`, http.StatusBadRequest)
		return
	}
	if in.Accounts == nil {
		in.Accounts = map[string]string{}
	}
	var first int64
	if _, err := fmt.Sscanf(in.Management, "%d", &first); err != nil && in.Count > 0 {
		http.Error(w, "managementAccount is not 12 digits", http.StatusBadRequest)
		return
	}
	for i := range in.Count {
		in.Accounts[fmt.Sprintf("%012d", first+1+int64(i))] = in.Root
	}
	if err := l.Organizations.Create(in.Organization); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(in.Organization) // a client that went away needs no answer
}

// controlAccount gives an account of an organization a service control policy, the body, or takes all of its policies away
// where that is empty.
func (l *Laptop) controlAccount(w http.ResponseWriter, r *http.Request) {
	document, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = l.Organizations.Control(r.PathValue("account"), string(document))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// maxAccounts bounds what one request makes.
const maxAccounts = 5000
