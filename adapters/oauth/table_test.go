package oauth

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/oauth.md shows the table; what it shows is made from it.
func TestTheTableInTheDocumentsIsThisOne(t *testing.T) {
	const path, mark = "../../docs/oauth.md", "<!-- Made by go test ./adapters/oauth -run Table -update -->\n"
	var b strings.Builder
	b.WriteString("\n| `provider` | | `client_secret` | Asks for | Address verified |\n|---|---|---|---|---|\n")
	for _, id := range Known() {
		r := table[id]
		secret := "the secret"
		if len(r.members) > 0 && id != "oidc" && id != "google" {
			var names []string
			for _, m := range r.members {
				name := fmt.Sprintf("%q", m.name)
				if m.standard != "" {
					name += ", if not " + m.standard
				}
				names = append(names, name)
			}
			secret = "JSON: `\"clientSecret\"`, "
			if id == "apple" {
				secret = "JSON: "
			}
			secret += strings.Join(names, ", ")
		}
		if r.public {
			secret = "none"
		}
		verified := "never told"
		if recordings[id].want.EmailVerified {
			verified = "as it says"
		} else if r.fields.verified != "" {
			t.Errorf("%s has a flag that nobody has recorded", id)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", id, r.name, secret, strings.Join(r.scopes, " "), verified)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(kept), mark)
	if !ok {
		t.Fatal("the place of the table is not marked")
	}
	if *update {
		after = b.String()
		if err := os.WriteFile(path, []byte(before+mark+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if after != b.String() {
		t.Error("docs/oauth.md shows another table; run: go test ./adapters/oauth -run Table -update")
	}
}
