/* A delegate's library that misbehaves before there is a delegate: for the tests of what a board does then.
 *
 * Option `mode`: `no-device` reports an error and gives no delegate, as a vendor's does that finds no NPU; `chatter`
 * prints on standard output, in C and past it, now and from a thread while models run, and hands over the stand-in
 * named by `library`.
 */
#define _DEFAULT_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

typedef void (*report_fn)(const char *);
typedef void *(*create_fn)(const char *const *, const char *const *, size_t, report_fn);
typedef void (*destroy_fn)(void *);

static destroy_fn destroy_real;

static void *chatter(void *unused)
{
    for (int i = 0; i < 3000; i++) {
        printf("chatter %d\n", i);
        usleep(1000);
    }
    return unused;
}

static void *hand_over(const char *library, report_fn report)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    create_fn create = handle ? (create_fn)dlsym(handle, "tflite_plugin_create_delegate") : NULL;
    if (create == NULL) {
        report(dlerror());
        return NULL;
    }
    destroy_real = (destroy_fn)dlsym(handle, "tflite_plugin_destroy_delegate");
    return create(NULL, NULL, 0, report);
}

VISIBLE void *tflite_plugin_create_delegate(const char *const *keys, const char *const *values, size_t count,
                                            report_fn report)
{
    const char *mode = "no-device", *library = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i], "mode") == 0)
            mode = values[i];
        if (strcmp(keys[i], "library") == 0)
            library = values[i];
    }
    if (strcmp(mode, "chatter") != 0) {
        report("no NPU found: /dev/galcore: No such file or directory");
        return NULL;
    }
    /* A frame of the agent's protocol, as far as its lengths go: 2 bytes of header, none of payload. */
    static const char frame[] = "\0\0\0\2\0\0\0\0{}";
    if (write(1, frame, sizeof frame - 1) < 0 || printf("hello from the delegate, on standard output\n") < 0)
        return NULL;
    pthread_t thread;
    if (pthread_create(&thread, NULL, chatter, NULL) == 0)
        pthread_detach(thread);
    return hand_over(library, report);
}

VISIBLE void tflite_plugin_destroy_delegate(void *delegate)
{
    if (delegate != NULL && destroy_real != NULL)
        destroy_real(delegate);
}
