/* Origin validation by RTRlib (Debian: librtr-dev), driven by benchmarks/lookup.py.
 *
 *     cc -O2 rtrlib_lookup.c -o rtrlib_lookup -lrtr
 *     rtrlib_lookup VRPS ROUTES STATES
 *
 * VRPS and ROUTES hold records of the struct below. The table is loaded once, in a scattered order, as
 * RTRlib's tree is not balanced and a cache promises no order; the first line of output says how many
 * seconds and kilobytes that took. Then each line on the standard input validates all routes and is answered
 * with the seconds that this took; their states, as numbers of rov.State, stand in the file STATES by then.
 */
#include <rtrlib/rtrlib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct record {
	uint32_t words[4]; /* of the address, the first ones first, in host byte order; IPv4 has one */
	uint32_t asn;
	uint8_t family, length, max_length, unused;
};

struct question {
	struct lrtr_ip_addr address;
	uint32_t asn;
	uint8_t length;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct record *read_records(const char *path, size_t *count)
{
	struct stat status;
	struct record *records;
	FILE *file = fopen(path, "rb");

	if (!file || fstat(fileno(file), &status))
		fail(path);
	*count = status.st_size / sizeof(*records);
	records = malloc(status.st_size + 1);
	if (!records || fread(records, sizeof(*records), *count, file) != *count)
		fail(path);
	fclose(file);
	return records;
}

static struct lrtr_ip_addr address_of(const struct record *record)
{
	struct lrtr_ip_addr address = {.ver = record->family == 4 ? LRTR_IPV4 : LRTR_IPV6};

	if (record->family == 4)
		address.u.addr4.addr = record->words[0];
	else
		memcpy(address.u.addr6.addr, record->words, sizeof(record->words));
	return address;
}

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* What the process holds now; the peak of getrusage begins at that of the parent. */
static long resident_kilobytes(void)
{
	char line[256];
	long kilobytes = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "VmRSS: %ld", &kilobytes);
	if (file)
		fclose(file);
	return kilobytes;
}

/* A step that has no common divisor with count, so that every record comes up once. */
static size_t scatter_step(size_t count)
{
	size_t step, a, b, rest;

	for (step = count * 8 / 13 + 1;; step++) {
		for (a = step, b = count; b; a = b, b = rest)
			rest = a % b;
		if (a == 1)
			return step;
	}
}

static void load(struct pfx_table *table, const char *path)
{
	size_t count, step, at = 0;
	struct record *records = read_records(path, &count);
	long before = resident_kilobytes();
	double begin = seconds();

	step = count ? scatter_step(count) : 0;
	for (size_t done = 0; done < count; done++, at = (at + step) % count) {
		struct pfx_record row = {
			.asn = records[at].asn,
			.prefix = address_of(&records[at]),
			.min_len = records[at].length,
			.max_len = records[at].max_length,
		};
		if (pfx_table_add(table, &row) != PFX_SUCCESS) {
			fprintf(stderr, "record %zu of %s was not taken\n", at, path);
			exit(1);
		}
	}
	printf("%.9f %ld\n", seconds() - begin, resident_kilobytes() - before);
	fflush(stdout);
	free(records);
}

static double validate(struct pfx_table *table, struct question *questions, uint8_t *states, size_t count)
{
	static const uint8_t number[] = {
		[BGP_PFXV_STATE_VALID] = 1, [BGP_PFXV_STATE_NOT_FOUND] = 0, [BGP_PFXV_STATE_INVALID] = 2};
	enum pfxv_state state;
	double begin = seconds();

	for (size_t i = 0; i < count; i++) {
		pfx_table_validate(table, questions[i].asn, &questions[i].address, questions[i].length, &state);
		states[i] = number[state];
	}
	return seconds() - begin;
}

int main(int argc, char **argv)
{
	struct pfx_table table;
	struct record *records;
	struct question *questions;
	uint8_t *states;
	size_t count;
	int c;

	if (argc != 4) {
		fprintf(stderr, "usage: %s VRPS ROUTES STATES\n", argv[0]);
		return 2;
	}
	pfx_table_init(&table, NULL);
	load(&table, argv[1]);
	records = read_records(argv[2], &count);
	questions = calloc(count + 1, sizeof(*questions));
	states = malloc(count + 1);
	if (!questions || !states)
		fail("memory");
	for (size_t i = 0; i < count; i++)
		questions[i] = (struct question){address_of(&records[i]), records[i].asn, records[i].length};
	free(records);
	while ((c = getchar()) != EOF) {
		double took;
		FILE *file;

		if (c != '\n')
			continue;
		took = validate(&table, questions, states, count);
		file = fopen(argv[3], "wb");
		if (!file || fwrite(states, 1, count, file) != count || fclose(file))
			fail(argv[3]);
		printf("%.9f\n", took);
		fflush(stdout);
	}
	return 0;
}
