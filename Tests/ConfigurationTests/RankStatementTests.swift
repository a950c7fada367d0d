import Foundation
import Testing

@testable import Configuration

/// What ranks must have in common, and how it is told when they do not. That they are asked, and in
/// time: `DisagreementJobs`.
@Suite struct RankStatementTests {
  private func statement(
    _ arguments: [String], _ settings: [String]? = nil, version: String = "1", build: String = "b"
  ) throws -> RankStatement {
    let configuration = try settings.map {
      try Configuration.parse("data: {train: a.h5}", name: "c.yaml", overrides: $0)
    }
    return RankStatement(
      version: version, build: build, arguments: arguments, configuration: configuration)
  }

  private func told(
    _ statements: RankStatement..., ranks: [[Int]]? = nil, hosts: [String]? = nil
  ) -> String {
    DisagreementError(
      parties: statements.enumerated().map { place, statement in
        .init(
          ranks: ranks?[place] ?? [place], host: hosts?[place] ?? "here", statement: statement)
      }
    ).description
  }

  @Test func everyKeyIsComparedButThoseThatSuitAHost() throws {
    let items = try statement(["train"], []).items.map(\.name)
    for key in Configuration.keys {
      #expect(
        items.contains(key.path) == !RankStatement.ownKeys.contains(key.path), "\(key.path)")
    }
    for key in RankStatement.ownKeys {
      let declared = try #require(Configuration.keysByPath[key])
      #expect(declared.effect == .harmless, "\(key)")
    }
  }

  @Test func whatHasTheSameEffectIsTheSame() throws {
    let plain = try statement(["train", "--config", "a.yaml"], [])
    #expect(
      try statement(
        ["train", "--config=b.yaml", "--set", "training.threads=9"],
        ["training.threads=9", "data.prefetch=2", "augmentation.max_height=120"]) == plain)
    #expect(try statement(["train", "--config", "a.yaml", "--resume"], []) != plain)
    #expect(
      try statement(["evaluate", "--threads=3", "--batch", "2"])
        == statement(["evaluate", "--batch=2", "--threads", "4"]))
    let own = try statement(["train"], ["data.assignment=shard"])
    #expect(try statement(["train"], ["data.assignment=shard", "data.train=b.h5"]) == own)
    #expect(try statement(["train"], ["data.train=b.h5"]) != plain)
  }

  @Test func aStatementTravelsWhole() throws {
    let odd = try statement(
      ["explain", "--output", "two\nlines", "", "ü", "--flag", "--", "--threads", "-"], [])
    #expect(RankStatement(decoding: odd.encoded) == odd)
    #expect(RankStatement(decoding: []).items.isEmpty)
  }

  @Test func keyValuesAndRanksAreNamed() throws {
    let first = try statement(["train"], [])
    let other = try statement(["train"], ["training.optimizer.learning_rate=0.1"])
    #expect(
      told(first, other)
        == "training.optimizer.learning_rate: rank 1 has 0.1, rank 0 0.0002: start all ranks with "
        + "the same options and settings")
    #expect(
      told(first, other, ranks: [[0, 4], [1, 2, 3]]).hasPrefix(
        "training.optimizer.learning_rate: ranks 1-3 have 0.1, ranks 0, 4 0.0002: "))
    #expect(
      told(first, other, hosts: ["a", "b"]).contains("rank 1 on b has 0.1, rank 0 on a 0.0002"))
    let third = try statement(
      ["train"], ["training.optimizer.learning_rate=0.1", "run.name=x"])
    let all = told(first, other, third)
    #expect(all.contains("run.name: rank 2 has x, ranks 0-1 demo; training.opt"), "\(all)")
    #expect(all.contains("learning_rate: ranks 1-2 have 0.1, rank 0 0.0002"), "\(all)")
  }

  @Test func onlyTheCauseIsToldNotWhatFollowsFromIt() throws {
    let first = try statement(["train"], [])
    let command = told(first, try statement(["evaluate", "--batch", "4"]))
    #expect(command.hasPrefix("the command: rank 1 has evaluate, rank 0 train: "), "\(command)")
    let build = told(first, try statement(["evaluate"], build: "c"))
    #expect(build.hasPrefix("the build of rfm: rank 1 has c, rank 0 b: copy one"), "\(build)")
    let version = told(first, try statement(["evaluate"], version: "2", build: "c"))
    #expect(version.hasPrefix("the version of rfm: rank 1 has 2, rank 0 1: "), "\(version)")
  }

  @Test func optionsAndArgumentsAreNamed() throws {
    let cases: [([String], [String], String)] = [
      (["evaluate", "--batch", "4"], ["evaluate"], "--batch: rank 1 has nothing, rank 0 4"),
      (["pack", "--strict"], ["pack"], "--strict: rank 1 has nothing, rank 0 given"),
      (
        ["explain", "--size", "9", "a", "b"], ["explain", "--size", "9", "a", "c"],
        "argument 2: rank 1 has c, rank 0 b"
      ),
      (
        ["inspect", "--verify", "a"], ["inspect", "--verify", "b"],
        "argument 1: rank 1 has b, rank 0 a"
      ),
      (
        ["evaluate", "--data", "a", "--data", "b"], ["evaluate", "--data", "a"],
        "--data: rank 1 has a, rank 0 a b"
      ),
      (
        ["explain", "--", "--a"], ["explain", "--", "--b"], "argument 1: rank 1 has --b, rank 0 --a"
      ),
    ]
    for (one, two, words) in cases {
      let text = told(try statement(one), try statement(two))
      #expect(text.hasPrefix(words + ": "), "\(text)")
    }
  }

  @Test func longValuesAreShownFromWhereTheyDiffer() throws {
    let path = String(repeating: "long/", count: 80)
    let text = told(
      try statement(["inspect", path + "one.h5"]), try statement(["inspect", path + "two.h5"]))
    #expect(text.contains("two.h5") && text.contains("one.h5") && text.count < 400, "\(text)")
  }

  @Test func manyDifferencesAreCounted() throws {
    let keys = ["run.seed=7", "data.flip=false", "data.order=sequential"]
    let more = [
      "run.report=false", "data.sampling=uniform", "data.mean=0.1", "data.std=0.5", "run.name=y",
    ]
    let text = told(try statement(["train"], []), try statement(["train"], keys + more))
    #expect(text.contains("; and 2 more: start all ranks"), "\(text)")
  }
}
