'use strict';

// Swagger UI is dark under this class only; it does not ask the system itself.
const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', follow);
follow();

SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  syntaxHighlight: { theme: 'tomorrow-night' }, // of its themes, one that can be read on its background
  persistAuthorization: false, // secrets are gone with the page
  tryItOutEnabled: true,
  validatorUrl: null,
  // The page may call nothing but the host it came from, by whatever name that was reached, and needs its cookies.
  requestInterceptor(request) {
    const { pathname, search } = new URL(request.url, location);
    request.url = location.origin + pathname + search;
    request.credentials = 'include';
    return request;
  },
});
