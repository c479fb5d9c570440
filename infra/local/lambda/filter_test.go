package lambda

import "testing"

func TestFilter(t *testing.T) {
	const record = `{"eventName":"INSERT","n":10.0,"ok":true,"nothing":null,"tags":["a","b"],"dynamodb":{"Keys":{"SK":{"S":"EVENT#1"}}}}`
	tests := map[string]struct {
		pattern string
		want    bool
	}{
		"exact":                     {`{"eventName":["MODIFY","INSERT"]}`, true},
		"exact, other":              {`{"eventName":["REMOVE"]}`, false},
		"case counts":               {`{"eventName":["insert"]}`, false},
		"equals-ignore-case":        {`{"eventName":[{"equals-ignore-case":"insert"}]}`, true},
		"prefix":                    {`{"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"EVENT#"}]}}}}`, true},
		"prefix, other":             {`{"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"META"}]}}}}`, false},
		"suffix":                    {`{"eventName":[{"suffix":"ERT"}]}`, true},
		"two fields, one does not":  {`{"eventName":["INSERT"],"n":[11]}`, false},
		"number":                    {`{"n":[10]}`, true},
		"number is no text":         {`{"n":["10"]}`, false},
		"numeric range":             {`{"n":[{"numeric":[">",9,"<",11]}]}`, true},
		"numeric range, outside":    {`{"n":[{"numeric":[">=",0,"<",10]}]}`, false},
		"numeric on a text":         {`{"eventName":[{"numeric":[">",0]}]}`, false},
		"large exponent":            {`{"n":[{"numeric":["<",1e300]}]}`, true},
		"boolean":                   {`{"ok":[true]}`, true},
		"null":                      {`{"nothing":[null]}`, true},
		"null is not absent":        {`{"absent":[null]}`, false},
		"exists":                    {`{"eventName":[{"exists":true}]}`, true},
		"exists not":                {`{"absent":[{"exists":false}]}`, true},
		"exists not, but does":      {`{"eventName":[{"exists":false}]}`, false},
		"exists asks for leaves":    {`{"dynamodb":[{"exists":true}]}`, false},
		"exists not below nothing":  {`{"absent":{"deep":[{"exists":false}]}}`, true},
		"any element":               {`{"tags":["b"]}`, true},
		"anything-but":              {`{"eventName":[{"anything-but":["REMOVE","MODIFY"]}]}`, true},
		"anything-but, but is":      {`{"eventName":[{"anything-but":"INSERT"}]}`, false},
		"anything-but needs a leaf": {`{"absent":[{"anything-but":"INSERT"}]}`, false},
		"or":                        {`{"$or":[{"eventName":["REMOVE"]},{"n":[10]}]}`, true},
		"or, neither":               {`{"$or":[{"eventName":["REMOVE"]},{"n":[1]}]}`, false},
		"object for a leaf":         {`{"eventName":{"x":["y"]}}`, false},
		"leaf for an object":        {`{"dynamodb":["x"]}`, false},
	}
	value, err := decodeNumber([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := parseFilter([]string{tt.pattern})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.admits(value); got != tt.want {
				t.Errorf("admits = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFilterRefusesWhatItCannotDo(t *testing.T) {
	for _, pattern := range []string{
		``, `[]`, `{}`, `{"a":1}`, `{"a":[]}`, `{"a":[[1]]}`, `{"a":[{"wildcard":"*"}]}`, `{"a":[{"prefix":1}]}`,
		`{"a":[{"prefix":"a","suffix":"b"}]}`, `{"a":[{"numeric":["~",1]}]}`, `{"a":[{"numeric":[">"]}]}`,
		`{"a":[{"exists":"yes"}]}`, `{"a":[{"anything-but":{"prefix":"x"}}]}`, `{"a":[{"anything-but":[[1]]}]}`,
		`{"$or":["x"]}`, `{"a":{"b":1}}`, `{"a":["b"]} {}`,
	} {
		t.Run(pattern, func(t *testing.T) {
			if _, err := parseFilter([]string{pattern}); err == nil {
				t.Error("the pattern was taken")
			}
		})
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`{"a":[{"numeric":[">",1]}]}`, `{"a":2}`)
	f.Add(`{"$or":[{"a":[{"exists":true}]}]}`, `{"a":{"b":[1,{}]}}`)
	f.Add(`{"a":[{"anything-but":[1,"x"]}]}`, `{"a":[[{}]]}`)
	f.Fuzz(func(_ *testing.T, pattern, record string) {
		parsed, err := parseFilter([]string{pattern})
		if err != nil {
			return
		}
		if value, err := decodeNumber([]byte(record)); err == nil {
			parsed.admits(value) // must not panic
		}
	})
}
