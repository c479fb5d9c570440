package customer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"rolecall/shared/connect"
)

// organizationsTarget is the partition's one endpoint of AWS Organizations.
func organizationsTarget(p connect.Partition) target {
	switch p {
	case connect.PartitionGov:
		return target{"organizations", "us-gov-west-1", "https://organizations.us-gov-west-1.amazonaws.com"}
	case connect.PartitionChina:
		return target{"organizations", "cn-northwest-1", "https://organizations.cn-northwest-1.amazonaws.com.cn"}
	case connect.PartitionAWS:
	}
	return target{"organizations", "us-east-1", "https://organizations.us-east-1.amazonaws.com"}
}

// Organization implements connect.Organizations. The service speaks JSON, unlike EC2 and IAM.
func (i Inspector) Organization(ctx context.Context, c connect.Credentials, p connect.Partition) (connect.OrganizationID, error) {
	const operation = "DescribeOrganization"
	req, err := i.signedJSON(ctx, c, organizationsTarget(p), "AWSOrganizationsV20161128."+operation)
	if err != nil {
		return "", fmt.Errorf("%s: %w", operation, err)
	}
	resp, err := i.HTTP.Do(req)
	if err != nil {
		return "", unavailable(operation, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", unavailable(operation, fmt.Errorf("an answer broken off: %w", err))
	}
	if resp.StatusCode != http.StatusOK {
		return "", organizationError(operation, resp.StatusCode, body)
	}
	var answer struct{ Organization struct{ ID string } }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", unavailable(operation, fmt.Errorf("an answer that cannot be read: %w", err))
	}
	id, err := connect.ParseOrganizationID(answer.Organization.ID)
	if err != nil {
		return "", unavailable(operation, errors.New("an answer without an organization"))
	}
	return id, nil
}

// organizationError is nil for an account that is in no organization: that is an answer.
func organizationError(operation string, status int, body []byte) error {
	var e struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(body, &e) // what cannot be read names no code
	code := e.Type[strings.LastIndexByte(e.Type, '#')+1:]
	switch {
	case code == "AWSOrganizationsNotInUseException":
		return nil
	case isDenial(code):
		return denied(operation)
	}
	return unavailable(operation, fmt.Errorf("%s (status %d)", code, status))
}

func (i Inspector) signedJSON(ctx context.Context, c connect.Credentials, t target, operation string) (*http.Request, error) {
	if i.Endpoint != "" {
		t.url = i.Endpoint
	}
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", operation)
	hash := sha256.Sum256(body)
	creds := aws.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
	}
	return req, v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(hash[:]), t.service, t.region, i.Clock())
}
