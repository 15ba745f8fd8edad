#include "proxy/api/openapi.h"

namespace tidepool::api {

namespace {

// Below 64 KiB, which is what compilers must take as one literal.
constexpr std::string_view kOpenApi = R"json({
 "openapi": "3.1.0",
 "info": {
  "title": "tidepool admin API",
  "version": "1",
  "description": "On the admin listener, with Authorization: Bearer and the value of admin.token. GET is HEAD, too, without the body."
 },
 "servers": [{"url": "/api/admin/v1"}],
 "security": [{"token": []}],
 "paths": {
  "/openapi.json": {
   "get": {
    "operationId": "getDocument",
    "summary": "This document",
    "responses": {
     "200": {
      "description": "OpenAPI 3.1",
      "content": {"application/json": {"schema": {"type": "object"}}}
     },
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/pools": {
   "get": {
    "operationId": "listPools",
    "summary": "All pools, those of the file first",
    "responses": {
     "200": {
      "description": "The pools",
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "properties": {
          "pools": {"type": "array", "items": {"$ref": "#/components/schemas/Pool"}}
         },
         "required": ["pools"],
         "additionalProperties": false
        }
       }
      }
     },
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "post": {
    "operationId": "createPool",
    "summary": "Make a pool at run time",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PoolFields"}}}
    },
    "responses": {
     "201": {
      "description": "It is served from now on",
      "headers": {"Location": {"schema": {"type": "string"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pool"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/pools/{name}": {
   "parameters": [
    {
     "name": "name",
     "in": "path",
     "required": true,
     "description": "the pool's name",
     "schema": {"type": "string"}
    }
   ],
   "get": {
    "operationId": "showPool",
    "summary": "One pool",
    "responses": {
     "200": {
      "description": "The pool",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pool"}}}
     },
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "patch": {
    "operationId": "changePool",
    "summary": "Change a pool",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PoolChange"}}}
    },
    "responses": {
     "200": {
      "description": "As it is now",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pool"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "delete": {
    "operationId": "removePool",
    "summary": "Forget a pool that is empty and not the file's",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "204": {"description": "It is gone."},
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/images": {
   "get": {
    "operationId": "listImages",
    "summary": "Images in the order of their UUIDs",
    "parameters": [
     {"$ref": "#/components/parameters/Limit"},
     {"$ref": "#/components/parameters/CursorField"},
     {
      "name": "pool",
      "in": "query",
      "description": "where its home is",
      "schema": {"type": "string"}
     },
     {
      "name": "state",
      "in": "query",
      "description": "only these",
      "schema": {"type": "string", "enum": ["incomplete", "complete", "deleting", "failed"]}
     },
     {
      "name": "owner",
      "in": "query",
      "description": "who uploaded it",
      "schema": {"type": "string"}
     },
     {
      "name": "prefix",
      "in": "query",
      "description": "of the original's key: \"uploads/original/2026/02/\"",
      "schema": {"type": "string"}
     }
    ],
    "responses": {
     "200": {
      "description": "A page",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ImagePage"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/images/{uuid}": {
   "parameters": [
    {
     "name": "uuid",
     "in": "path",
     "required": true,
     "description": "the image's UUID, in lower case",
     "schema": {"type": "string", "format": "uuid"}
    }
   ],
   "get": {
    "operationId": "showImage",
    "summary": "One image with its objects",
    "responses": {
     "200": {
      "description": "The image",
      "content": {
       "application/json": {"schema": {"$ref": "#/components/schemas/ImageDetails"}}
      }
     },
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "patch": {
    "operationId": "changeImage",
    "summary": "Say who may see an image with its variants",
    "description": "At once here, within cache.freshness in every process of this catalog. What caches have got before they keep.",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "type": "object",
        "properties": {"visibility": {"$ref": "#/components/schemas/Visibility"}},
        "required": ["visibility"],
        "additionalProperties": false
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "The image as it is now",
      "content": {
       "application/json": {"schema": {"$ref": "#/components/schemas/ImageDetails"}}
      }
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "delete": {
    "operationId": "deleteImage",
    "summary": "Delete an image with its variants",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "202": {
      "description": "It is 410 from now on; a job removes the bytes",
      "headers": {"Location": {"schema": {"type": "string"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Queued"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/images/{uuid}/move": {
   "parameters": [
    {
     "name": "uuid",
     "in": "path",
     "required": true,
     "description": "the image's UUID, in lower case",
     "schema": {"type": "string", "format": "uuid"}
    }
   ],
   "post": {
    "operationId": "moveImage",
    "summary": "Move an image to another pool",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "type": "object",
        "properties": {"to": {"type": "string", "description": "the pool's name"}},
        "required": ["to"],
        "additionalProperties": false
       }
      }
     }
    },
    "responses": {
     "202": {
      "description": "The job that does it",
      "headers": {"Location": {"schema": {"type": "string"}}},
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Queued"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/jobs": {
   "get": {
    "operationId": "listJobs",
    "summary": "Jobs in the order in which they were queued",
    "parameters": [
     {"$ref": "#/components/parameters/Limit"},
     {"$ref": "#/components/parameters/CursorField"},
     {
      "name": "state",
      "in": "query",
      "description": "only these",
      "schema": {"$ref": "#/components/schemas/JobState"}
     },
     {
      "name": "type",
      "in": "query",
      "description": "only these",
      "schema": {"type": "string"}
     },
     {
      "name": "batch",
      "in": "query",
      "description": "of one command or sweep",
      "schema": {"type": "string"}
     }
    ],
    "responses": {
     "200": {
      "description": "A page",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobPage"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/jobs/{id}": {
   "parameters": [
    {
     "name": "id",
     "in": "path",
     "required": true,
     "description": "the job's id",
     "schema": {"type": "integer", "minimum": 0}
    }
   ],
   "get": {
    "operationId": "showJob",
    "summary": "One job",
    "responses": {
     "200": {
      "description": "The job",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
     },
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/jobs/{id}/cancel": {
   "parameters": [
    {
     "name": "id",
     "in": "path",
     "required": true,
     "description": "the job's id",
     "schema": {"type": "integer", "minimum": 0}
    }
   ],
   "post": {
    "operationId": "cancelJob",
    "summary": "Cancel a job that is queued or runs, or a purge that failed",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "200": {
      "description": "As it is now",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/jobs/{id}/pause": {
   "parameters": [
    {
     "name": "id",
     "in": "path",
     "required": true,
     "description": "the job's id",
     "schema": {"type": "integer", "minimum": 0}
    }
   ],
   "post": {
    "operationId": "pauseJob",
    "summary": "Hold a job back",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "200": {
      "description": "As it is now",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/jobs/{id}/resume": {
   "parameters": [
    {
     "name": "id",
     "in": "path",
     "required": true,
     "description": "the job's id",
     "schema": {"type": "integer", "minimum": 0}
    }
   ],
   "post": {
    "operationId": "resumeJob",
    "summary": "Go on with a job that was paused",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "200": {
      "description": "As it is now",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/jobs/{id}/retry": {
   "parameters": [
    {
     "name": "id",
     "in": "path",
     "required": true,
     "description": "the job's id",
     "schema": {"type": "integer", "minimum": 0}
    }
   ],
   "post": {
    "operationId": "retryJob",
    "summary": "Do a job again that failed or was cancelled, or at once what waits after a failure",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "200": {
      "description": "As it is now",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/stats": {
   "get": {
    "operationId": "showStats",
    "summary": "What each pool holds, by role",
    "responses": {
     "200": {
      "description": "By pool",
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "properties": {
          "pools": {"type": "array", "items": {"$ref": "#/components/schemas/PoolStats"}}
         },
         "required": ["pools"],
         "additionalProperties": false
        }
       }
      }
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/keys": {
   "get": {
    "operationId": "listKeys",
    "summary": "Keys of the upload API, the oldest first, without what they are",
    "parameters": [
     {
      "name": "owner",
      "in": "query",
      "description": "of this one alone",
      "schema": {"type": "string"}
     },
     {"$ref": "#/components/parameters/Limit"},
     {"$ref": "#/components/parameters/CursorField"}
    ],
    "responses": {
     "200": {
      "description": "The keys",
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "properties": {
          "keys": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}},
          "next": {"$ref": "#/components/schemas/Cursor"}
         },
         "required": ["keys", "next"],
         "additionalProperties": false
        }
       }
      }
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "post": {
    "operationId": "createKey",
    "summary": "Make a key",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyFields"}}}
    },
    "responses": {
     "201": {
      "description": "The key",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewKey"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/keys/{id}": {
   "parameters": [
    {
     "name": "id",
     "in": "path",
     "required": true,
     "description": "as the list shows it, or its first digits, at least four",
     "schema": {"type": "string"}
    }
   ],
   "delete": {
    "operationId": "revokeKey",
    "summary": "Revoke a key",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "204": {"description": "It is refused from now on."},
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/tiering/plan": {
   "get": {
    "operationId": "showTierPlan",
    "summary": "What the next sweep would move, why, and what it costs",
    "parameters": [
     {
      "name": "limit",
      "in": "query",
      "description": "show at most so many moves, and images that are left out; 0 = all",
      "schema": {"type": "integer", "minimum": 0}
     }
    ],
    "responses": {
     "200": {
      "description": "The plan",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TierPlan"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/tiering/run": {
   "post": {
    "operationId": "runTiering",
    "summary": "Make a sweep at once, also where tiering is not enabled",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "responses": {
     "200": {
      "description": "Nothing is to be moved",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sweep"}}}
     },
     "202": {
      "description": "The moves are queued",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sweep"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/reconcile": {
   "post": {
    "operationId": "reconcile",
    "summary": "Compare pools with the catalog, and mend what differs where that is wanted",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": false,
     "content": {
      "application/json": {
       "schema": {
        "type": "object",
        "properties": {
         "pools": {
          "type": ["array", "null"],
          "items": {"type": "string"},
          "description": "names; none: all that are active"
         },
         "repair": {"type": ["boolean", "null"], "description": "false: changes nothing"},
         "deep": {"type": ["boolean", "null"], "description": "read every content"},
         "max_change": {
          "type": ["integer", "null"],
          "minimum": 0,
          "maximum": 100,
          "description": "percent, instead of reconcile.max_change_percent"
         }
        },
        "additionalProperties": false
       }
      }
     }
    },
    "responses": {
     "202": {
      "description": "A job for each pool; its progress says what was found",
      "headers": {"Location": {"schema": {"type": "string"}}},
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "properties": {
          "jobs": {
           "type": "array",
           "items": {
            "type": "object",
            "properties": {"pool": {"type": "string"}, "job": {"type": "integer"}},
            "required": ["pool", "job"],
            "additionalProperties": false
           }
          }
         },
         "required": ["jobs"],
         "additionalProperties": false
        }
       }
      }
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/sign": {
   "post": {
    "operationId": "signUrl",
    "summary": "Sign the URL of a private image",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "type": "object",
        "properties": {
         "url": {"type": ["string", "null"], "description": "of the image; or path"},
         "path": {"type": ["string", "null"], "description": "the URL from its path on"},
         "ttl": {
          "type": ["string", "null"],
          "description": "such as \"10m\"; null: private.ttl, less what the time is rounded by"
         },
         "form": {
          "type": ["string", "null"],
          "enum": ["timed", "absolute", null],
          "description": "timed, which a rule of the edge can check, holds for private.ttl at most"
         }
        },
        "additionalProperties": false
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "It opens what it names until then, and while the key is not changed",
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "properties": {
          "url": {"type": "string"},
          "form": {"type": "string", "enum": ["timed", "absolute"]},
          "expires": {"type": "integer", "description": "seconds since 1970"}
         },
         "required": ["url", "form", "expires"],
         "additionalProperties": false
        }
       }
      }
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/purges": {
   "post": {
    "operationId": "purge",
    "summary": "Make the edge forget images, URLs, tags, prefixes or everything",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "type": "object",
        "properties": {
         "images": {
          "type": ["array", "null"],
          "items": {"type": "string", "format": "uuid"},
          "description": "all URLs that visitors can have of each"
         },
         "urls": {"type": ["array", "null"], "items": {"type": "string"}, "description": "as visitors have them"},
         "tags": {"type": ["array", "null"], "items": {"type": "string"}},
         "prefixes": {
          "type": ["array", "null"],
          "items": {"type": "string"},
          "description": "host and path, without a scheme"
         },
         "everything": {"type": ["boolean", "null"], "description": "true: all that the zone has"}
        },
        "additionalProperties": false
       }
      }
     }
    },
    "responses": {
     "202": {
      "description": "The jobs that do it, new ones or such as wait already",
      "headers": {"Location": {"schema": {"type": "string"}}},
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "properties": {"jobs": {"type": "array", "items": {"type": "integer"}}},
         "required": ["jobs"],
         "additionalProperties": false
        }
       }
      }
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/settings": {
   "get": {
    "operationId": "showSettings",
    "summary": "The settings in force that matter while it runs",
    "description": "Written as in the configuration file; secrets are told by their source. Changed in the file: what stands under `reload` and `file` is taken over by SIGHUP, what stands under `restart` is not. What PATCH has changed holds in place of the file, and is named in `overridden`.",
    "responses": {
     "200": {
      "description": "By what a change needs",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Settings"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   },
   "patch": {
    "operationId": "changeSettings",
    "summary": "Change settings that need no restart",
    "description": "At once here, within seconds in every process of this catalog, and until it is taken back. All of it is done, or nothing.",
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    "requestBody": {
     "required": true,
     "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SettingsChange"}}}
    },
    "responses": {
     "200": {
      "description": "As they are now",
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Settings"}}}
     },
     "400": {"$ref": "#/components/responses/BadRequest"},
     "401": {"$ref": "#/components/responses/Unauthorized"},
     "403": {"$ref": "#/components/responses/Closed"},
     "409": {"$ref": "#/components/responses/Conflict"},
     "413": {"$ref": "#/components/responses/TooLarge"},
     "422": {"$ref": "#/components/responses/Invalid"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  }
 },
 "components": {
  "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
  "parameters": {
   "IdempotencyKey": {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same method, path and body within 24 hours gives the first answer again, also after a restart; with another request it is 422, and while the first is being done 409. Answers of 500 and above are not kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
   },
   "Limit": {
    "name": "limit",
    "in": "query",
    "description": "how many on a page",
    "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
   },
   "CursorField": {
    "name": "cursor",
    "in": "query",
    "description": "what `next` of the page before says",
    "schema": {"type": "string"}
   }
  },
  "responses": {
   "BadRequest": {
    "description": "The request cannot be read, or a field of its query is wrong.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "Unauthorized": {
    "description": "The token is not that of admin.token.",
    "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "Closed": {
    "description": "admin.token is not set.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "NotFound": {
    "description": "There is no such thing.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "MethodNotAllowed": {
    "description": "Allow says which there are.",
    "headers": {"Allow": {"schema": {"type": "string"}}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "Conflict": {
    "description": "It is not in a state that allows this, something else has the name, or there is no catalog.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "TooLarge": {
    "description": "The body is longer than admin.request_body.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "Invalid": {
    "description": "Fields of the body are wrong, as `details` says, or the Idempotency-Key came with another request.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   },
   "Unavailable": {
    "description": "The catalog is busy or broken; try again.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
   }
  },
  "schemas": {
   "Error": {
    "type": "object",
    "properties": {
     "error": {"type": "string", "description": "does not change; for programs"},
     "message": {"type": "string", "description": "for people"},
     "details": {
      "type": "array",
      "items": {
       "type": "object",
       "properties": {
        "field": {"type": "string", "description": "\"\" = all of them together"},
        "message": {"type": "string"}
       },
       "required": ["field", "message"],
       "additionalProperties": false
      }
     }
    },
    "required": ["error", "message"],
    "additionalProperties": false
   },
   "Count": {
    "type": "object",
    "properties": {
     "count": {"type": "integer", "minimum": 0},
     "bytes": {"type": "integer", "minimum": 0}
    },
    "required": ["count", "bytes"],
    "additionalProperties": false
   },
   "PoolType": {"type": "string", "enum": ["local", "s3"]},
   "PoolTier": {"type": "string", "enum": ["hot", "warm", "cold", "archive"]},
   "PoolState": {"type": "string", "enum": ["active", "disabled", "draining"]},
   "Pool": {
    "type": "object",
    "properties": {
     "id": {"type": "integer"},
     "name": {"type": "string"},
     "storage_type": {"$ref": "#/components/schemas/PoolType"},
     "storage_tier": {"$ref": "#/components/schemas/PoolTier"},
     "base_path": {"type": "string"},
     "marker": {
      "type": "string",
      "description": "a file below base_path that is there only while its disk is mounted; \"\" = none"
     },
     "max_size": {"type": "string", "description": "a size like \"5GiB\"; \"0B\" = no limit"},
     "priority": {"type": "integer"},
     "is_active": {"type": "boolean"},
     "is_default": {"type": "boolean"},
     "is_backup_target": {"type": "boolean"},
     "mirror": {
      "type": "string",
      "description": "the pool that has copies of all objects; \"\" = none"
     },
     "public_base_url": {"type": "string"},
     "upload_api_url": {"type": "string"},
     "visibility": {"type": "string", "enum": ["public", "private"]},
     "strip_metadata": {"type": "boolean"},
     "node_id": {"type": "string"},
     "description": {"type": "string"},
     "jobs": {"type": "integer", "minimum": 0},
     "job_bandwidth": {"type": "string"},
     "job_requests": {"type": "integer", "minimum": 0},
     "access_key_id": {
      "type": "string",
      "description": "where the file says that it comes from"
     },
     "secret_access_key": {"type": "string", "description": "the same; never its value"},
     "region": {"type": "string"},
     "bucket": {"type": "string"},
     "endpoint_url": {"type": "string"},
     "download_url": {"type": "string"},
     "download_authorization": {"type": "boolean"},
     "download_authorization_lifetime": {"type": "string"},
     "native_url": {"type": "string"},
     "path_prefix": {"type": "string"},
     "addressing": {"type": "string"},
     "serve": {"type": "string"},
     "origin": {"type": "string"},
     "daily_class_a_calls": {"type": "integer", "minimum": 0},
     "daily_class_b_calls": {"type": "integer", "minimum": 0},
     "daily_class_c_calls": {"type": "integer", "minimum": 0},
     "daily_egress": {"type": "string"},
     "budget_warning_percent": {"type": "integer", "minimum": 0},
     "has_credentials": {"type": "boolean", "description": "of pools made at run time"},
     "problem": {"type": "string", "description": "why it cannot be used"},
     "managed_by": {"type": "string", "enum": ["file", "api"]},
     "state": {"$ref": "#/components/schemas/PoolState"},
     "used_bytes": {"type": "integer", "minimum": 0},
     "usage": {
      "type": "object",
      "properties": {
       "original": {"$ref": "#/components/schemas/Count"},
       "variant": {"$ref": "#/components/schemas/Count"},
       "backup": {"$ref": "#/components/schemas/Count"}
      },
      "required": ["original", "variant", "backup"],
      "additionalProperties": false
     }
    },
    "required": [
     "id",
     "name",
     "storage_type",
     "storage_tier",
     "base_path",
     "marker",
     "max_size",
     "priority",
     "is_active",
     "is_default",
     "is_backup_target",
     "mirror",
     "public_base_url",
     "upload_api_url",
     "visibility",
     "strip_metadata",
     "node_id",
     "description",
     "jobs",
     "job_bandwidth",
     "job_requests",
     "managed_by",
     "state",
     "used_bytes",
     "usage"
    ],
    "additionalProperties": false,
    "description": "A [[pool]] of the configuration and what it holds; what only buckets have is there for buckets."
   },
   "PoolFields": {
    "type": "object",
    "properties": {
     "name": {"type": "string"},
     "storage_type": {"$ref": "#/components/schemas/PoolType"},
     "storage_tier": {"$ref": "#/components/schemas/PoolTier"},
     "base_path": {"type": "string"},
     "marker": {
      "type": "string",
      "description": "a file below base_path that is there only while its disk is mounted; \"\" = none"
     },
     "max_size": {"type": "string", "description": "a size like \"5GiB\"; \"0B\" = no limit"},
     "priority": {"type": "integer"},
     "is_active": {"type": "boolean"},
     "is_default": {"type": "boolean"},
     "is_backup_target": {"type": "boolean"},
     "mirror": {
      "type": "string",
      "description": "the pool that has copies of all objects; \"\" = none"
     },
     "public_base_url": {"type": "string"},
     "upload_api_url": {"type": "string"},
     "visibility": {"type": "string", "enum": ["public", "private"]},
     "strip_metadata": {"type": "boolean"},
     "node_id": {"type": "string"},
     "description": {"type": "string"},
     "jobs": {"type": "integer", "minimum": 0},
     "job_bandwidth": {"type": "string"},
     "job_requests": {"type": "integer", "minimum": 0},
     "region": {"type": "string"},
     "bucket": {"type": "string"},
     "endpoint_url": {"type": "string"},
     "download_url": {"type": "string"},
     "download_authorization": {"type": "boolean"},
     "download_authorization_lifetime": {"type": "string"},
     "native_url": {"type": "string"},
     "path_prefix": {"type": "string"},
     "addressing": {"type": "string"},
     "serve": {"type": "string"},
     "origin": {"type": "string"},
     "daily_class_a_calls": {"type": "integer", "minimum": 0},
     "daily_class_b_calls": {"type": "integer", "minimum": 0},
     "daily_class_c_calls": {"type": "integer", "minimum": 0},
     "daily_egress": {"type": "string"},
     "budget_warning_percent": {"type": "integer", "minimum": 0},
     "access_key_id": {"type": "string"},
     "secret_access_key": {"type": "string"},
     "state": {"$ref": "#/components/schemas/PoolState"}
    },
    "additionalProperties": false,
    "description": "As in a [[pool]] of the configuration, credentials in clear. What is not there has its default."
   },
   "PoolChange": {
    "type": "object",
    "description": "The fields to change (RFC 7396): null is the default again. Of a pool of the file only is_active and state."
   },
   "Image": {
    "type": "object",
    "properties": {
     "uuid": {"type": "string", "format": "uuid"},
     "state": {"type": "string", "enum": ["incomplete", "complete", "deleting", "failed"]},
     "pool": {"type": ["string", "null"]},
     "original": {"type": "string", "description": "its key"},
     "owner": {"type": ["string", "null"], "description": "null: nobody known"},
     "visibility": {"$ref": "#/components/schemas/Visibility"},
     "uploaded": {"type": "integer", "description": "seconds since 1970"},
     "moved": {
      "type": "integer",
      "description": "when it came to its pool; seconds since 1970"
     }
    },
    "required": ["uuid", "state", "pool", "original", "owner", "visibility", "uploaded", "moved"],
    "additionalProperties": false
   },
   "Visibility": {
    "type": "string",
    "enum": ["public", "private"],
    "description": "private: only a signed URL opens it. Its pool, or a prefix of the configuration, may say so as well."
   },
   "ImageObject": {
    "type": "object",
    "properties": {
     "key": {"type": "string"},
     "pool": {"type": ["string", "null"]},
     "role": {"type": "string", "enum": ["original", "variant"]},
     "size": {"type": "integer", "minimum": 0},
     "sha256": {"type": ["string", "null"], "description": "hex; null: not read yet"},
     "content_type": {"type": "string"}
    },
    "required": ["key", "pool", "role", "size", "sha256", "content_type"],
    "additionalProperties": false
   },
   "ImageDetails": {
    "type": "object",
    "properties": {
     "uuid": {"type": "string", "format": "uuid"},
     "state": {"type": "string", "enum": ["incomplete", "complete", "deleting", "failed"]},
     "pool": {"type": ["string", "null"]},
     "original": {"type": "string", "description": "its key"},
     "owner": {"type": ["string", "null"], "description": "null: nobody known"},
     "visibility": {"$ref": "#/components/schemas/Visibility"},
     "uploaded": {"type": "integer", "description": "seconds since 1970"},
     "moved": {
      "type": "integer",
      "description": "when it came to its pool; seconds since 1970"
     },
     "last_view": {"type": ["integer", "null"], "description": "at the origin; null: never"},
     "metadata": {
      "type": ["object", "null"],
      "description": "what is known of it beside its bytes: size, frames, file name, EXIF"
     },
     "objects": {"type": "array", "items": {"$ref": "#/components/schemas/ImageObject"}}
    },
    "required": [
     "uuid",
     "state",
     "pool",
     "original",
     "owner",
     "visibility",
     "uploaded",
     "moved",
     "last_view",
     "metadata",
     "objects"
    ],
    "additionalProperties": false
   },
   "ImagePage": {
    "type": "object",
    "properties": {
     "images": {"type": "array", "items": {"$ref": "#/components/schemas/Image"}},
     "next": {"$ref": "#/components/schemas/Cursor"}
    },
    "required": ["images", "next"],
    "additionalProperties": false
   },
   "Cursor": {
    "type": ["string", "null"],
    "description": "the cursor of the next page; null: this is the last one. A page with fewer images than were asked for may have one"
   },
   "JobState": {
    "type": "string",
    "enum": ["queued", "running", "done", "failed", "cancelled", "paused"]
   },
   "Job": {
    "type": "object",
    "properties": {
     "id": {"type": "integer"},
     "type": {
      "type": "string",
      "description": "move, clean, delete, backup, backup-scan, reconcile, reconcile-pool, process, variant, purge"
     },
     "state": {"$ref": "#/components/schemas/JobState"},
     "payload": {"description": "what it was asked for; JSON as of its type"},
     "progress": {
      "description": "how far it is; of reconcile-pool, what was found: see ReconcileResult"
     },
     "priority": {"type": "integer", "description": "lower is taken first"},
     "attempts": {"type": "integer", "minimum": 0},
     "created": {"type": "integer", "description": "seconds since 1970"},
     "next_run": {"type": ["integer", "null"]},
     "finished": {"type": ["integer", "null"]},
     "lease_until": {"type": ["integer", "null"]},
     "error_class": {"type": ["string", "null"]},
     "error": {"type": ["string", "null"]},
     "lane": {"type": "string"},
     "batch": {"type": ["string", "null"]}
    },
    "required": [
     "id",
     "type",
     "state",
     "payload",
     "progress",
     "priority",
     "attempts",
     "created",
     "next_run",
     "finished",
     "lease_until",
     "error_class",
     "error",
     "lane",
     "batch"
    ],
    "additionalProperties": false
   },
   "JobPage": {
    "type": "object",
    "properties": {
     "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
     "next": {"$ref": "#/components/schemas/Cursor"}
    },
    "required": ["jobs", "next"],
    "additionalProperties": false
   },
   "Queued": {
    "type": "object",
    "properties": {"job": {"type": "integer", "description": "its id, for /jobs/{id}"}},
    "required": ["job"],
    "additionalProperties": false
   },
   "ReconcileResult": {
    "type": "object",
    "properties": {
     "compared": {"type": "integer", "minimum": 0},
     "bytes": {"type": "integer", "minimum": 0},
     "found": {"type": "integer", "minimum": 0},
     "repaired": {"type": "integer", "minimum": 0},
     "findings": {
      "type": "object",
      "additionalProperties": {
       "type": "object",
       "properties": {
        "found": {"type": "integer", "minimum": 0},
        "bytes": {"type": "integer", "minimum": 0},
        "repaired": {"type": "integer", "minimum": 0}
       },
       "required": ["found", "bytes", "repaired"],
       "additionalProperties": false
      }
     },
     "pending": {"type": "integer", "minimum": 0},
     "young": {"type": "integer", "minimum": 0},
     "left_out": {"type": "integer", "minimum": 0},
     "unreadable": {"type": "integer", "minimum": 0},
     "left_over": {"type": "integer", "minimum": 0},
     "too_much": {"type": "boolean"},
     "all_well": {"type": "boolean"}
    },
    "required": [
     "compared",
     "bytes",
     "found",
     "repaired",
     "findings",
     "pending",
     "young",
     "left_out",
     "unreadable"
    ],
    "additionalProperties": false,
    "description": "By kind of finding; the last three once it has ended."
   },
   "PoolStats": {
    "type": "object",
    "properties": {
     "pool": {"type": "string"},
     "storage_type": {"type": "string", "description": "\"?\" of a pool that is gone"},
     "storage_tier": {"type": "string"},
     "original": {"$ref": "#/components/schemas/Count"},
     "variant": {"$ref": "#/components/schemas/Count"},
     "backup": {"$ref": "#/components/schemas/Count"},
     "used_bytes": {"type": "integer", "minimum": 0},
     "pending_deletions": {"$ref": "#/components/schemas/Count"},
     "leftovers": {
      "$ref": "#/components/schemas/Count",
      "description": "what moves left behind, until move.grace has passed"
     },
     "max_size": {"type": ["integer", "null"], "minimum": 0, "description": "null: no limit"}
    },
    "required": [
     "pool",
     "storage_type",
     "storage_tier",
     "original",
     "variant",
     "backup",
     "used_bytes",
     "pending_deletions",
     "leftovers",
     "max_size"
    ],
    "additionalProperties": false
   },
   "Key": {
    "type": "object",
    "properties": {
     "id": {"type": "string"},
     "owner": {"type": "string"},
     "name": {"type": "string"},
     "quota": {"type": ["integer", "null"], "minimum": 0},
     "max_size": {"type": ["integer", "null"], "minimum": 0},
     "rate": {"type": ["integer", "null"], "minimum": 0},
     "created": {"type": "integer", "description": "seconds since 1970"},
     "expires": {"type": ["integer", "null"]},
     "revoked": {"type": ["integer", "null"]}
    },
    "required": [
     "id",
     "owner",
     "name",
     "quota",
     "max_size",
     "rate",
     "created",
     "expires",
     "revoked"
    ],
    "additionalProperties": false
   },
   "NewKey": {
    "type": "object",
    "properties": {
     "key": {"type": "string", "description": "shown this once; the catalog keeps its digest"},
     "id": {"type": "string"},
     "owner": {"type": "string"},
     "name": {"type": "string"},
     "quota": {"type": ["integer", "null"], "minimum": 0},
     "max_size": {"type": ["integer", "null"], "minimum": 0},
     "rate": {"type": ["integer", "null"], "minimum": 0},
     "created": {"type": "integer", "description": "seconds since 1970"},
     "expires": {"type": ["integer", "null"]},
     "revoked": {"type": ["integer", "null"]}
    },
    "required": [
     "key",
     "id",
     "owner",
     "name",
     "quota",
     "max_size",
     "rate",
     "created",
     "expires",
     "revoked"
    ],
    "additionalProperties": false
   },
   "KeyFields": {
    "type": "object",
    "properties": {
     "owner": {
      "type": "string",
      "minLength": 1,
      "maxLength": 64,
      "description": "visible ASCII: the user's number or name"
     },
     "name": {"type": ["string", "null"], "maxLength": 200, "description": "what it is for"},
     "quota": {
      "type": ["string", "integer", "null"],
      "minimum": 0,
      "description": "of all that the owner has: bytes, or a text like \"5GiB\""
     },
     "max_size": {
      "type": ["string", "integer", "null"],
      "minimum": 0,
      "description": "of one file"
     },
     "rate": {
      "type": ["integer", "null"],
      "minimum": 0,
      "maximum": 1000000,
      "description": "sessions and uploads a minute, instead of upload.rate_per_key"
     },
     "expires": {"type": ["string", "null"], "description": "it is good for so long: \"30d\""}
    },
    "required": ["owner"],
    "additionalProperties": false
   },
   "TierCalls": {
    "type": "object",
    "properties": {
     "class_a": {"type": "integer", "minimum": 0},
     "class_b": {"type": "integer", "minimum": 0},
     "class_c": {"type": "integer", "minimum": 0},
     "egress_bytes": {"type": "integer", "minimum": 0}
    },
    "required": ["class_a", "class_b", "class_c", "egress_bytes"],
    "additionalProperties": false
   },
   "TierMove": {
    "type": "object",
    "properties": {
     "image": {"type": "string", "format": "uuid"},
     "original": {"type": "string"},
     "from": {"type": "string"},
     "to": {"type": "string"},
     "reason": {"type": "string", "enum": ["idle", "watermark", "promotion"]},
     "why": {"type": "string"},
     "objects": {"type": "integer", "minimum": 0},
     "bytes": {"type": "integer", "minimum": 0},
     "uploaded": {"type": "integer", "description": "seconds since 1970"},
     "last_view": {"type": ["integer", "null"]},
     "calls": {"$ref": "#/components/schemas/TierCalls"}
    },
    "required": [
     "image",
     "original",
     "from",
     "to",
     "reason",
     "why",
     "objects",
     "bytes",
     "uploaded",
     "last_view",
     "calls"
    ],
    "additionalProperties": false
   },
   "TierPlan": {
    "type": "object",
    "properties": {
     "moves": {"type": "array", "items": {"$ref": "#/components/schemas/TierMove"}},
     "images": {"type": "integer", "minimum": 0, "description": "moves in all"},
     "bytes": {"type": "integer", "minimum": 0},
     "calls": {"$ref": "#/components/schemas/TierCalls"},
     "cost_dollars": {
      "type": "object",
      "properties": {
       "calls": {"type": "number"},
       "egress_at_most": {"type": "number"},
       "storage_a_month": {"type": "number"}
      },
      "required": ["calls", "egress_at_most", "storage_a_month"],
      "additionalProperties": false
     },
     "open": {"type": "integer", "minimum": 0, "description": "moves of earlier sweeps"},
     "left_out": {
      "type": "array",
      "items": {"$ref": "#/components/schemas/TierLeftOut"},
      "description": "images of which a move has failed less than 7 days ago, until it is retried"
     },
     "emptying": {
      "type": "array",
      "items": {"type": "string"},
      "description": "pools that were above their high watermark, and are not below the low one yet"
     },
     "stopped": {
      "type": ["string", "null"],
      "description": "why no sweep moves anything until somebody has looked"
     },
     "notes": {"type": "array", "items": {"type": "string"}}
    },
    "required": [
     "moves",
     "images",
     "bytes",
     "calls",
     "cost_dollars",
     "open",
     "left_out",
     "emptying",
     "stopped",
     "notes"
    ],
    "additionalProperties": false
   },
   "TierLeftOut": {
    "type": "object",
    "properties": {
     "image": {"type": "string", "format": "uuid"},
     "pool": {"type": "string"},
     "job": {"type": "integer", "description": "its move, for /jobs/{id}/retry"},
     "failed": {"type": "integer", "description": "seconds since 1970"},
     "error_class": {"type": "string"},
     "error_text": {"type": "string"}
    },
    "required": ["image", "pool", "job", "failed", "error_class", "error_text"],
    "additionalProperties": false
   },
   "Sweep": {
    "type": "object",
    "properties": {
     "images": {"type": "integer", "minimum": 0},
     "bytes": {"type": "integer", "minimum": 0},
     "batch": {"type": ["string", "null"], "description": "of the moves, for /jobs?batch="},
     "notes": {"type": "array", "items": {"type": "string"}}
    },
    "required": ["images", "bytes", "batch", "notes"],
    "additionalProperties": false
   },
   "Settings": {
    "type": "object",
    "properties": {
     "reload": {
      "type": "object",
      "description": "Sections that a reload (SIGHUP) takes over from the file, and PATCH changes.",
      "properties": {
       "limits": {"type": "object"},
       "timeouts": {"type": "object"},
       "tiering": {"type": "object"}
      },
      "required": ["limits", "timeouts", "tiering"],
      "additionalProperties": false
     },
     "file": {
      "type": "object",
      "description": "Sections that a reload takes over from the file, and PATCH does not change.",
      "properties": {
       "edge": {"type": "object"},
       "private": {"type": "object"},
       "hotlink": {"type": "object"},
       "rate_limits": {"type": "object"},
       "rate_limit": {"type": "array", "items": {"type": "object"}},
       "tls": {"type": "object"},
       "certificate": {"type": "array", "items": {"type": "object"}}
      },
      "required": ["edge", "private", "hotlink", "rate_limits", "rate_limit", "tls", "certificate"],
      "additionalProperties": false
     },
     "restart": {
      "type": "object",
      "description": "Sections of which a change needs a restart or a hand-over (SIGUSR2).",
      "properties": {
       "admin": {"type": "object"},
       "edge": {"type": "object"},
       "tls": {"type": "object"},
       "purge": {"type": "object"},
       "jobs": {"type": "object"},
       "move": {"type": "object"},
       "delete": {"type": "object"},
       "backup": {"type": "object"},
       "reconcile": {"type": "object"},
       "upload": {"type": "object"}
      },
      "required": ["admin", "edge", "tls", "purge", "jobs", "move", "delete", "backup", "reconcile", "upload"],
      "additionalProperties": false
     },
     "overridden": {
      "type": "array",
      "items": {"type": "string"},
      "description": "what PATCH has changed, such as \"tiering.enabled\""
     }
    },
    "required": ["reload", "file", "restart", "overridden"],
    "additionalProperties": false
   },
   "SettingsChange": {
    "type": "object",
    "description": "JSON Merge Patch (RFC 7396), by section and key, of what stands under `reload`. null: the file's value holds again, of a key or of a whole section.",
    "properties": {
     "limits": {"type": ["object", "null"]},
     "timeouts": {"type": ["object", "null"]},
     "tiering": {"type": ["object", "null"]}
    },
    "additionalProperties": false
   }
  }
 }
}
)json";

}  // namespace

std::string_view openapi_document() {
    return kOpenApi;
}

}  // namespace tidepool::api
