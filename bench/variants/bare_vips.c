/* What libvips alone does: vips_thumbnail and a saver in a loop, one thread an image. The protocol is that of
   variants_bench.cpp; "together" means nothing here. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vips/vips.h>

enum { MOST = 64 };

struct recipe {
    char format[8];
    int width, quality, effort;
};

static struct {
    int count, next, recipe_count, file_count;
    const char* save_as;
    struct recipe recipes[MOST];
    char* files[MOST];
    unsigned long variants, bytes;
    pthread_mutex_t lock;
} work = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void give_up(const char* why) {
    fprintf(stderr, "bare_vips: %s: %s\n", why, vips_error_buffer());
    exit(1);
}

static void make(int number, int index) {
    const struct recipe* recipe = &work.recipes[index];
    VipsImage* image = NULL;
    void* data = NULL;
    size_t size = 0;
    int failed;
    if (vips_thumbnail(work.files[number % work.file_count], &image, recipe->width, "height", VIPS_MAX_COORD, "size",
                       VIPS_SIZE_DOWN, NULL) != 0)
        give_up("thumbnail");
    if (strcmp(recipe->format, "webp") == 0)
        failed = vips_webpsave_buffer(image, &data, &size, "Q", recipe->quality, "effort", recipe->effort, "strip", TRUE,
                                      NULL);
    else if (strcmp(recipe->format, "avif") == 0)
        failed = vips_heifsave_buffer(image, &data, &size, "Q", recipe->quality, "effort", recipe->effort, "compression",
                                      VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "bitdepth", 8, "strip", TRUE, NULL);
    else
        failed = vips_jpegsave_buffer(image, &data, &size, "Q", recipe->quality, "optimize-coding", TRUE, "strip", TRUE,
                                      NULL);
    if (failed) give_up("save");
    g_object_unref(image);
    if (work.save_as[0] != '-' && number < work.file_count) {
        char name[4096];
        FILE* file;
        snprintf(name, sizeof name, "%s-%d-%d", work.save_as, number, index);
        file = fopen(name, "wb");
        if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) give_up(name);
    }
    g_free(data);
    pthread_mutex_lock(&work.lock);
    work.variants++;
    work.bytes += size;
    pthread_mutex_unlock(&work.lock);
}

static void* run(void* unused) {
    for (;;) {
        int number, i;
        pthread_mutex_lock(&work.lock);
        number = work.next++;
        pthread_mutex_unlock(&work.lock);
        if (number >= work.count) break;
        for (i = 0; i < work.recipe_count; ++i)
            make(number, i);
    }
    vips_thread_shutdown();
    return unused;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void read_recipes(char* text) {
    char* rest = NULL;
    char* one;
    work.recipe_count = 0;
    for (one = strtok_r(text, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        struct recipe* recipe = &work.recipes[work.recipe_count++];
        if (work.recipe_count == MOST || sscanf(one, "%7[a-z]:%d:%d:%d", recipe->format, &recipe->width, &recipe->quality,
                                                &recipe->effort) != 4)
            give_up(one);
    }
}

int main(int count, char** words) {
    static char line[1 << 16];
    int workers = count == 2 ? atoi(words[1]) : 0;
    if (workers < 1 || workers > MOST) give_up("usage: bare_vips WORKERS");
    if (VIPS_INIT(words[0]) != 0) give_up("start");
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        pthread_t threads[MOST];
        char* word;
        char* recipes;
        double began;
        int i;
        line[strcspn(line, "\n")] = '\0';
        strtok(line, " ");
        word = strtok(NULL, " ");
        work.count = word == NULL ? 0 : atoi(word);
        strtok(NULL, " ");
        work.save_as = strtok(NULL, " ");
        recipes = strtok(NULL, " ");
        if (work.save_as == NULL || recipes == NULL) give_up("no command");
        for (work.file_count = 0; (word = strtok(NULL, " ")) != NULL && work.file_count < MOST;)
            work.files[work.file_count++] = word;
        if (work.file_count == 0) give_up("no files");
        read_recipes(recipes);
        work.next = 0;
        work.variants = work.bytes = 0;
        began = now();
        for (i = 0; i < workers; ++i)
            if (pthread_create(&threads[i], NULL, run, NULL) != 0) give_up("threads");
        for (i = 0; i < workers; ++i)
            pthread_join(threads[i], NULL);
        printf("done %lu %lu %.4f\n", work.variants, work.bytes, now() - began);
        fflush(stdout);
    }
    return 0;
}
