#include "tests/bench/field.h"

#include <stdio.h>
#include <stdlib.h>

/* Memory of an agency that is connected and silent: the broker's resident memory with all of them, less what it was with
 * all known and none connected, over their number. Then they stay a while, because what a handshake left behind is
 * not what an idle agency costs, but what nobody gives back is. */

#define SETTLE_MS 3000u

int bench_idle(const struct bench_options *options)
{
	static struct field field;
	struct child_memory before;
	struct child_memory after;
	struct field_end end;
	if (options->broker != NULL)
		bench_die("idle starts its own broker");
	field_open(&field, options);
	child_memory(&field.child, &before);
	double cpu_s = child_cpu_s(&field.child);
	uint64_t start_ns = bench_now_ns();
	field_connect(&field);
	double connect_s = (double)(bench_now_ns() - start_ns) / 1e9;
	cpu_s = child_cpu_s(&field.child) - cpu_s;
	field_run(&field, SETTLE_MS);
	child_memory(&field.child, &after);
	struct kw_net_stats net;
	kw_net_stats_get(field.net, &net);
	field_close(&field, &end);

	double agents = options->agents;
	bench_json_begin();
	bench_json_str("bench", "idle");
	bench_json_int("agents", options->agents);
	bench_json_real("idle_bytes_per_agent", ((double)after.resident - (double)before.resident) / agents);
	bench_json_real("idle_anonymous_bytes_per_agent", ((double)after.anonymous - (double)before.anonymous) / agents);
	bench_json_int("rss_before_bytes", before.resident);
	bench_json_int("rss_after_bytes", after.resident);
	bench_json_real("connects_per_s", agents / connect_s);
	bench_json_real("broker_cpu_us_per_connect", cpu_s * 1e6 / agents);
	bench_json_real("wire_bytes_per_connect", (double)(net.bytes_in + net.bytes_out) / agents);
	bench_json_bool("stopped_in_order", end.in_order);
	bench_json_end();
	return end.in_order ? EXIT_SUCCESS : EXIT_FAILURE;
}

int bench_site(const struct bench_options *options)
{
	struct site site;
	if (options->site == NULL)
		bench_die("site: --site DIR says where; it must be empty");
	site_make(&site, options->site, options);
	(void)printf("%s/broker.yaml\n", site.folder);
	site_fini(&site, true);
	return EXIT_SUCCESS;
}
