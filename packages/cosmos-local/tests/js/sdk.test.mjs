// The official JavaScript SDKs, unmodified, over https. ENDPOINT and KEY name the server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { CosmosClient as Newest } from "@azure/cosmos";
import { CosmosClient as Version3 } from "cosmos-3";

const USERS = Array.from({ length: 12 }, (_, number) => `user-${number}`);

for (const [name, CosmosClient] of [["4", Newest], ["3", Version3]]) {
  describe(`@azure/cosmos ${name}`, () => {
    const client = new CosmosClient({ endpoint: process.env.ENDPOINT, key: process.env.KEY });
    let container;

    const everywhere = async (query) => (await container.items.query(query).fetchAll()).resources;

    before(async () => {
      const { database } = await client.databases.createIfNotExists({ id: `js-${name}` });
      const definition = { id: "c", partitionKey: { paths: ["/user"], version: 2 } };
      ({ container } = await database.containers.createIfNotExists(definition));
      for (const [number, user] of USERS.entries()) {
        const parity = number % 2 === 0 ? "even" : "odd";
        await container.items.create({ id: "x", user, n: number, parity });
      }
    });

    after(async () => {
      await client.database(`js-${name}`).delete();
      client.dispose();
    });

    test("an item lives its whole life", async () => {
      await container.items.create({ id: "1", user: "a", n: 1 });
      const { resource, etag } = await container.item("1", "a").read();
      assert.equal(resource.n, 1);
      const accessCondition = { type: "IfMatch", condition: etag };
      await container.item("1", "a").replace({ ...resource, n: 2 }, { accessCondition });
      await assert.rejects(
        container.item("1", "a").replace({ ...resource, n: 3 }, { accessCondition }),
        { code: 412 },
      );
      await container.items.upsert({ id: "1", user: "a", n: 4 });
      await container.item("1", "a").delete();
      assert.equal((await container.item("1", "a").read()).statusCode, 404);
    });

    test("a patch is a list of operations, with a condition or without", async () => {
      await container.items.create({ id: "p", user: "a", n: 1 });
      const item = container.item("p", "a");
      await item.patch([{ op: "incr", path: "/n", value: 2 }]);
      const operations = [{ op: "add", path: "/tag", value: "red" }];
      await item.patch({ condition: "from c where c.n = 3", operations });
      await assert.rejects(item.patch({ condition: "from c where c.n = 9", operations }));
      assert.deepEqual([(await item.read()).resource.n, (await item.read()).resource.tag], [3, "red"]);
      await item.delete();
    });

    test("a batch is done, or nothing of it", async () => {
      const create = (id) => ({ operationType: "Create", resourceBody: { id, user: "b" } });
      const done = await container.items.batch([create("1"), create("2")], "b");
      assert.deepEqual(done.result.map((one) => one.statusCode), [201, 201]);
      const failed = await container.items.batch([create("3"), create("1")], "b");
      assert.deepEqual(failed.result.map((one) => one.statusCode), [424, 409]);
      const query = { query: "SELECT VALUE c.id FROM c WHERE c.user = 'b'" };
      assert.deepEqual((await everywhere(query)).sort(), ["1", "2"]);
      await container.items.batch(
        ["1", "2"].map((id) => ({ operationType: "Delete", id })), "b",
      );
    });

    test("a query of one partition is read page by page", async () => {
      for (const id of ["1", "2", "3"]) await container.items.create({ id, user: "pages" });
      const query = "SELECT VALUE c.id FROM c ORDER BY c.id";
      const pages = container.items.query(query, { partitionKey: "pages", maxItemCount: 2 });
      const first = await pages.fetchNext();
      assert.deepEqual(first.resources, ["1", "2"]);
      assert.deepEqual((await pages.fetchNext()).resources, ["3"]);
      for (const id of ["1", "2", "3"]) await container.item(id, "pages").delete();
    });

    for (const [query, expected] of [
      ["SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 1 LIMIT 3", [10, 9, 8]],
      ["SELECT TOP 2 VALUE c.n FROM c ORDER BY c.n", [0, 1]],
      ["SELECT DISTINCT VALUE c.parity FROM c ORDER BY c.parity", ["even", "odd"]],
      ["SELECT VALUE COUNT(1) FROM c", [12]],
      ["SELECT VALUE SUM(c.n) FROM c", [66]],
      ["SELECT VALUE AVG(c.n) FROM c", [5.5]],
      ["SELECT VALUE MIN(c.n) FROM c WHERE c.n > 3", [4]],
      ["SELECT VALUE MAX(c.n) FROM c WHERE c.user = 'user-7'", [7]],
      ["SELECT VALUE MAX(c.n) FROM c WHERE c.n < 3", [2]],
    ]) {
      test(`all partitions: ${query}`, async () => {
        assert.deepEqual(await everywhere(query), expected);
      });
    }

    test("groups of several partitions are put together", async () => {
      const query = "SELECT c.parity, COUNT(1) AS n, SUM(c.n) AS total FROM c GROUP BY c.parity";
      const found = await everywhere(query);
      found.sort((left, right) => left.total - right.total);
      assert.deepEqual(found, [
        { parity: "even", n: 6, total: 30 },
        { parity: "odd", n: 6, total: 36 },
      ]);
    });

    test("the change feed has every change", async () => {
      const found = [];
      const changes = container.items.changeFeed("user-3", { startFromBeginning: true });
      while (changes.hasMoreResults) {
        const page = await changes.fetchNext();
        if (page.statusCode === 304 || page.result?.length === 0) break;
        found.push(...page.result);
      }
      assert.deepEqual(found.map((item) => item.n), [3]);
    });
  });
}
