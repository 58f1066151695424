/* Gets each URL of its arguments with one libcurl handle and prints the bodies. Linked by the tests with one of
 * Debian's three libcurls, which differ in their TLS library; the declarations are those of <curl/curl.h>.
 * Environment: CA_FILE, a PEM file to trust; without it nothing is verified. */
#include <stdio.h>
#include <stdlib.h>

typedef void CURL;
enum { CURLOPT_SSL_VERIFYPEER = 64, CURLOPT_SSL_VERIFYHOST = 81, CURLOPT_TIMEOUT = 13,
       CURLOPT_URL = 10002, CURLOPT_CAINFO = 10065 };
CURL *curl_easy_init(void);
int curl_easy_setopt(CURL *, int, ...);
int curl_easy_perform(CURL *);
void curl_easy_cleanup(CURL *);
const char *curl_easy_strerror(int);

int main(int argc, char **argv)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return 1;
    const char *ca = getenv("CA_FILE");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    if (ca) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    } else {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    for (int i = 1; i < argc; i++) {
        curl_easy_setopt(curl, CURLOPT_URL, argv[i]);
        int failed = curl_easy_perform(curl);
        if (failed) {
            fprintf(stderr, "%s: %s\n", argv[i], curl_easy_strerror(failed));
            return failed;
        }
    }
    curl_easy_cleanup(curl);
    return 0;
}
