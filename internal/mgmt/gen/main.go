// Gen writes the documents of the HTTP API; go generate runs it.
package main

import (
	"log"
	"os"

	"github.com/warrenmq/warren/internal/mgmt/reference"
)

func main() {
	openapi, err := reference.OpenAPI()
	if err == nil {
		err = os.WriteFile("../../doc/reference/openapi.json", openapi, 0o644) //nolint:gosec // a document
	}
	if err == nil {
		err = os.WriteFile("../../doc/reference/http.md", reference.Markdown(), 0o644) //nolint:gosec // a document
	}
	if err != nil {
		log.Fatal(err) //nolint:forbidigo // a generator
	}
}
