// Requests of Go's net/http.
package main

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func ask(request *http.Request) {
	response := must(http.DefaultClient.Do(request))
	must(io.Copy(io.Discard, response.Body))
	response.Body.Close()
}

func main() {
	base := os.Args[1] + "/go/"
	ask(must(http.NewRequest("GET", base+"get?q=a+b", nil)))
	ask(must(http.NewRequest("HEAD", base+"head", nil)))

	form := must(http.NewRequest("POST", base+"form", strings.NewReader(url.Values{"a": {"1"}, "b": {"ü &"}}.Encode())))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header["x-spelling"] = []string{"kept", "twice"}
	ask(form)

	// A reader of unknown length goes in chunks.
	chunked := must(http.NewRequest("POST", base+"chunked", io.MultiReader(strings.NewReader("first,"), strings.NewReader("second"))))
	chunked.Trailer = http.Header{"X-Sum": {"1"}}
	ask(chunked)

	var upload bytes.Buffer
	writer := multipart.NewWriter(&upload)
	writer.WriteField("title", "x")
	part := must(writer.CreateFormFile("photo", "photo.jpg"))
	part.Write(bytes.Repeat([]byte{255}, 500))
	writer.Close()
	multi := must(http.NewRequest("PUT", base+"multipart", &upload))
	multi.Header.Set("Content-Type", writer.FormDataContentType())
	multi.SetBasicAuth("name", "secret")
	ask(multi)
	ask(must(http.NewRequest("DELETE", base+"delete", nil)))
}
