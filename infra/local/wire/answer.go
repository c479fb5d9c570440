package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"strconv"
)

// An answer is what goes back over HTTP.
type answer struct {
	status int
	code   string // the error's code, "" for success
	header http.Header
	body   []byte
	broken breakage
}

func (a answer) write(w http.ResponseWriter) {
	switch a.broken {
	case cutOff:
		a.cut(w)
		return
	case noAnswer:
		reset(w)
		return
	case unbroken:
	}
	maps.Copy(w.Header(), a.header)
	if w.Header().Get("Content-Length") == "" && a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that went away needs no answer
}

// success encodes what a service answered.
func success(call *Call, p protocol, resp Response) (answer, error) {
	a := answer{status: resp.Status, header: make(http.Header)}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	body, contentType := resp.Raw, resp.ContentType
	if resp.Raw == nil {
		encoded, err := encode(call, p, resp.Value)
		if err != nil {
			return answer{}, fmt.Errorf("encode the answer of %s:%s: %w", call.Service, call.Operation, err)
		}
		body = encoded
		if contentType == "" && len(body) > 0 {
			contentType = contentTypeOf(call, p)
		}
	}
	a.body = body
	if contentType != "" {
		a.header.Set("Content-Type", contentType)
	}
	setIDs(a.header, call, p, body)
	for name, values := range resp.Header {
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	return a, nil
}

// setIDs adds the headers that every answer carries. Clients of DynamoDB compare the checksum with the body; for the
// other JSON services it does no harm.
func setIDs(h http.Header, call *Call, p protocol, body []byte) {
	if p == protocolS3 {
		h.Set("X-Amz-Request-Id", call.RequestID)
		return
	}
	h.Set("X-Amzn-Requestid", call.RequestID)
	if p == protocolJSON {
		h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
}

func contentTypeOf(call *Call, p protocol) string {
	switch p {
	case protocolJSON:
		if media := mediaType(call.HTTP); media != "" {
			return media
		}
		return "application/x-amz-json-1.1"
	case protocolREST:
		return "application/json"
	case protocolS3:
		return "application/xml"
	case protocolQuery, protocolEC2:
	}
	return "text/xml"
}

func encode(call *Call, p protocol, value any) ([]byte, error) {
	switch p {
	case protocolJSON:
		if value == nil {
			return []byte("{}"), nil
		}
		return json.Marshal(value)
	case protocolREST:
		if value == nil {
			return nil, nil
		}
		return json.Marshal(value)
	case protocolS3:
		if value == nil {
			return nil, nil
		}
		return document(func(e *xml.Encoder) error { return e.Encode(value) })
	case protocolEC2:
		return document(func(e *xml.Encoder) error { return encodeEC2(e, call, value) })
	case protocolQuery:
	}
	return document(func(e *xml.Encoder) error { return encodeQuery(e, call, value) })
}

// encodeQuery writes <OpResponse><OpResult>…</OpResult><ResponseMetadata>…. The result is there even when it is empty:
// some clients insist on it, and those of operations without one do not look.
func encodeQuery(e *xml.Encoder, call *Call, value any) error {
	response := element(call.Operation + "Response")
	response.Attr = namespace(call)
	result := element(call.Operation + "Result")
	return within(e, response, func() error {
		if value == nil {
			value = struct{}{}
		}
		if err := e.EncodeElement(value, result); err != nil {
			return err
		}
		return within(e, element("ResponseMetadata"), func() error {
			return e.EncodeElement(call.RequestID, element("RequestId"))
		})
	})
}

// encodeEC2 writes <OpResponse><requestId>…</requestId>…, the members of the value right beside the id.
func encodeEC2(e *xml.Encoder, call *Call, value any) error {
	response := element(call.Operation + "Response")
	response.Attr = namespace(call)
	if value == nil {
		value = struct{}{}
	}
	wrapped, err := document(func(e *xml.Encoder) error { return e.EncodeElement(value, element("members")) })
	if err != nil {
		return err
	}
	var members struct {
		XML []byte `xml:",innerxml"`
	}
	if err := xml.Unmarshal(wrapped, &members); err != nil {
		return err
	}
	return e.EncodeElement(struct {
		RequestID string `xml:"requestId"`
		Members   []byte `xml:",innerxml"`
	}{call.RequestID, members.XML}, response)
}

// within writes an element around what content writes.
func within(e *xml.Encoder, start xml.StartElement, content func() error) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if err := content(); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

func element(name string) xml.StartElement { return xml.StartElement{Name: xml.Name{Local: name}} }

// namespace is the one that AWS gives the service's version, which every Query request names.
func namespace(call *Call) []xml.Attr {
	uri := "https://" + call.Service + ".amazonaws.com/doc/" + call.Form.Get("Version") + "/"
	return []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: uri}}
}

func document(content func(*xml.Encoder) error) ([]byte, error) {
	buf := bytes.NewBufferString(xml.Header)
	e := xml.NewEncoder(buf)
	if err := content(e); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// failure encodes an error in the shape of the call's protocol.
func failure(call *Call, p protocol, e *Error) answer {
	a := answer{status: e.Status, code: e.Code, header: make(http.Header)}
	if a.status == 0 {
		a.status = http.StatusBadRequest
	}
	switch p {
	case protocolJSON, protocolREST:
		a.code = shapeName(e.Code)
		a.body = jsonError(a.code, e)
		a.header.Set("X-Amzn-Errortype", a.code)
		if call.HTTP.Header.Get("X-Amzn-Query-Mode") == "true" {
			a.header.Set("X-Amzn-Query-Error", queryName(a.code)+";"+fault(a.status))
		}
	case protocolQuery:
		a.body = xmlError(queryError{
			XMLNS: namespace(call)[0].Value, Type: fault(a.status),
			Code: e.Code, Message: e.Message, RequestID: call.RequestID,
		})
	case protocolEC2:
		a.body = xmlError(ec2Error{Code: e.Code, Message: e.Message, RequestID: call.RequestID})
	case protocolS3:
		a.body = xmlError(s3Error{
			Code: e.Code, Message: e.Message, Resource: call.HTTP.URL.Path, RequestID: call.RequestID,
		})
	}
	a.header.Set("Content-Type", contentTypeOf(call, p))
	setIDs(a.header, call, p, a.body)
	return a
}

// fault says whose fault an error is.
func fault(status int) string {
	if status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// jsonError spells the message both ways: a few of DynamoDB's exceptions have it in upper case, all others in lower.
func jsonError(code string, e *Error) []byte {
	members := maps.Clone(e.Fields)
	if members == nil {
		members = make(map[string]any)
	}
	members["__type"], members["message"], members["Message"] = code, e.Message, e.Message
	body, err := json.Marshal(members)
	if err != nil { // a field that JSON cannot hold must not hide the error itself
		body, _ = json.Marshal(map[string]string{"__type": code, "message": e.Message})
	}
	return body
}

type queryError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	XMLNS     string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

type ec2Error struct {
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string   `xml:"Code"`
	Message   string   `xml:"Message"`
	Resource  string   `xml:"Resource"`
	RequestID string   `xml:"RequestId"`
}

// xmlError encodes one of the shapes above; they hold strings only, which cannot fail.
func xmlError(shape any) []byte {
	body, _ := document(func(e *xml.Encoder) error { return e.Encode(shape) })
	return body
}
