package main

import (
	"errors"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// masked is the configuration in effect as YAML, its secrets and the passwords in its URLs shown as "***".
func masked(c config) (string, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	var clone config // the lists of c are not ours to change
	if err := yaml.Unmarshal(text, &clone); err != nil {
		return "", err
	}
	mask(reflect.ValueOf(&clone).Elem(), false)
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err = errors.Join(encoder.Encode(clone), encoder.Close())
	return out.String(), err
}

var (
	urlPassword   = regexp.MustCompile(`(://[^:/?#@]*):[^/?#]*@`)
	queryPassword = regexp.MustCompile(`(?i)([?&][^=&]*(?:password|secret|token|key)[^=&]*)=[^&#]*`)
)

func mask(v reflect.Value, secret bool) {
	switch v.Kind() {
	case reflect.Struct:
		for field, value := range v.Fields() {
			mask(value, field.Tag.Get("secret") == "true")
		}
	case reflect.Slice:
		for i := range v.Len() {
			mask(v.Index(i), secret)
		}
	case reflect.String:
		switch {
		case secret && v.Len() > 0:
			v.SetString("***")
		default:
			v.SetString(queryPassword.ReplaceAllString(urlPassword.ReplaceAllString(v.String(), "$1:***@"), "$1=***"))
		}
	}
}
