package letters

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed locales
var localeFiles embed.FS

// locales is the words of each language, by its ISO 639-1 code. Portuguese is that of Brazil, which is what CLDR means by
// "pt" too.
var locales = load()

// standard is the locale of who asks for none that we have.
const standard = "en"

// load reads the files, which are part of the program: a mistake in them shows at once, wherever it runs.
func load() map[string]words {
	files, err := localeFiles.ReadDir("locales")
	if err != nil {
		panic(err)
	}
	all := map[string]words{}
	for _, f := range files {
		b, err := localeFiles.ReadFile("locales/" + f.Name())
		if err != nil {
			panic(err)
		}
		var w words
		if err := json.Unmarshal(b, &w); err != nil {
			panic(fmt.Errorf("letters: %s: %w", f.Name(), err))
		}
		all[strings.TrimSuffix(f.Name(), path.Ext(f.Name()))] = w
	}
	return all
}

// Choose gives the best locale that we have for the value of an X-Appwrite-Locale header, such as "de", "de-AT", "pt_br"
// or "JA": the one of its language, or "en".
func Choose(header string) string {
	language, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(header), "_", "-"), "-")
	language = strings.ToLower(language)
	if _, ok := locales[language]; ok {
		return language
	}
	return standard
}

// Locales gives the locales that there are letters in, in order.
func Locales() []string { return slices.Sorted(maps.Keys(locales)) }

// words is what a language says, by key. Values stand in it as {value}.
type words map[string]string

// get gives the words of a key. What is missing shows as a value that nothing was put in for, which the tests look for.
func (w words) get(key string) string {
	if s, ok := w[key]; ok {
		return s
	}
	return "{" + key + "}"
}

// moment gives date and time in UTC, to the minute. The words around it are those of the language.
func (w words) moment(t time.Time) string {
	return strings.NewReplacer("{date}", w.date(t), "{time}", t.UTC().Format("15:04")).Replace(w.get("moment"))
}

// date gives the date in UTC. Some languages count the first of a month and not the others: "1er novembre, 2 novembre".
func (w words) date(t time.Time) string {
	year, month, n := t.UTC().Date()
	day := strconv.Itoa(n)
	if n == 1 {
		day = w.get("date.first")
	}
	values := strings.NewReplacer("{year}", strconv.Itoa(year), "{month}", w.get(fmt.Sprint("month.", int(month))), "{day}", day)
	return values.Replace(w.get("date.form"))
}

// clock gives the time in UTC, to the second.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }
