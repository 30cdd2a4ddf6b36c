package api

import (
	"github.com/go-chi/chi/v5"
)

func (a *API) docs(r chi.Router) {}
