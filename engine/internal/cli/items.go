package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// readItems reads items from a file: JSON, in a list or one after the other, or CSV with the names of fields in its
// first line.
func readItems(path string) ([]feedback.Item, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	var items []feedback.Item
	switch {
	case bytes.HasPrefix(data, []byte("[")):
		err = json.Unmarshal(data, &items)
	case bytes.HasPrefix(data, []byte("{")):
		items, err = jsonItems(data)
	default:
		items, err = csvItems(data)
	}
	if told := (*failure)(nil); errors.As(err, &told) {
		told.message = path + ": " + told.message
		return nil, told
	}
	if err != nil {
		return nil, usage("the file holds a list of items as JSON, or CSV with the names of fields in its first line", "%s: %v", path, err)
	}
	return items, nil
}

func jsonItems(data []byte) ([]feedback.Item, error) {
	var items []feedback.Item
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var it feedback.Item
		if err := dec.Decode(&it); errors.Is(err, io.EOF) {
			return items, nil
		} else if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
}

// csvItems makes the JSON of an item of each row.
func csvItems(data []byte) ([]feedback.Item, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	kinds, names := map[string]feedback.Kind{}, []string{}
	for _, f := range feedback.Fields() {
		kinds[f.Name], names = f.Kind, append(names, f.Name)
	}
	var items []feedback.Item
	for i, row := range rows[1:] {
		object := map[string]any{}
		for c, value := range row {
			name := strings.TrimSpace(rows[0][c])
			kind, ok := kinds[name]
			if !ok {
				return nil, usage(suggest.DidYouMean(name, names), "found the column %q, expected the name of a field such as text or score", name)
			}
			if value == "" {
				continue
			}
			in := object
			if rest, ok := strings.CutPrefix(name, "customer."); ok {
				name = rest
				in, _ = object["customer"].(map[string]any)
				if in == nil {
					in = map[string]any{}
					object["customer"] = in
				}
			}
			in[name] = value
			if kind == feedback.Number {
				if in[name], err = strconv.ParseFloat(value, 64); err != nil {
					return nil, usage("", "row %d: found %q for %s, expected a number", i+1, value, name)
				}
			}
		}
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		var it feedback.Item
		if err := json.Unmarshal(text, &it); err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, nil
}
