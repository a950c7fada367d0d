import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct MappingLayoutTests {
  private static let files = [
    "originals/ann/1.png", "originals/bob/1.png", "swaps/ToolA/train/ann_bob.mp4",
    "swaps/ToolB/val/bob_cid.mp4", "previews/x.png", "README.md",
  ]

  private func set(_ yaml: String) throws -> LayoutFixture {
    let set = try LayoutFixture(Self.files)
    let rules = try LayoutFixture([], texts: ["mapping.yaml": yaml])
    rulesFolders.append(rules)
    set.settings.mapping = rules.folder("mapping.yaml")
    return set
  }
  /// Kept until the test is over.
  private let rulesFolders = Kept()

  private final class Kept {
    private var all: [LayoutFixture] = []
    func append(_ fixture: LayoutFixture) { all.append(fixture) }
  }

  @Test func rulesSayEverything() throws {
    let layout = try set(
      """
      # The first rule that fits counts.
      - pattern: "originals/{source}/*.png"
        label: real
        split: train
      - pattern: "swaps/{tool}/{split}/{target}_{donor}.mp4"
        label: fake
        method: "{tool}"
        source: "{target}+{donor}"
        shows: ["person {target}", "person {donor}"]
      - pattern: "previews/**"
        skip: true
      """
    ).layout()
    #expect(layout.kind == .mapping && layout.methods == ["real", "ToolA", "ToolB"])
    #expect(
      LayoutFixture.words(layout) == [
        "originals/ann/1.png": "train real ann", "originals/bob/1.png": "train real bob",
        "swaps/ToolA/train/ann_bob.mp4": "train ToolA ann+bob",
        "swaps/ToolB/val/bob_cid.mp4": "validation ToolB bob+cid",
      ])
    #expect(
      LayoutFixture.groups(layout) == [["ann"], ["bob"], ["ann+bob", "bob+cid"]])
    #expect(layout.notes.contains { $0.contains("previews/x.png: left out by skip: true") })
  }

  @Test(arguments: [
    ("- pattern: \"originals/**\"\n  label: real", "that no rule of"),
    ("- pattern: \"**\"\n  label: perhaps", "line 1: originals/ann/1.png: the label perhaps"),
    ("- pattern: \"**\"\n  labels: real", "line 2: there is no key labels"),
    ("- pattern: \"a/{x\"\n  label: real", "line 1: pattern has { without }"),
    ("- pattern: \"a/{x}/{x}\"\n  label: real", "pattern has {x} twice"),
    ("- pattern: \"**\"\n  label: real\n  method: \"{y}\"", "line 3: method has {y}, which"),
    ("- label: real", "line 1: a rule has no pattern"),
    ("- pattern: \"**\"", "line 1: a rule has neither label"),
    ("- pattern: \"**\"\n  skip: maybe", "skip is neither true nor false"),
    ("pattern: x", "expected a list of rules"), ("[]", "has no rules"), ("", "expected a list"),
    ("- pattern: [", "is not valid YAML"),
    ("- pattern: *.png\n  label: real", "mapping.yaml: line 1"),
    ("- &a pattern\n- *a", "has an alias"),
    ("- pattern: \"**/*.png\"\n  label: real\n  split: later", "the split later is none of"),
    (
      "- pattern: \"originals/**\"\n  label: real\n- pattern: \"swaps/*/{split}/*\"\n  label: fake\n"
        + "- {pattern: \"**\", skip: true}", "say it of all files or none"
    ),
  ])
  func wrongRulesAreRefused(yaml: String, part: String) throws {
    let text = try set(yaml).refusal()
    #expect(text.contains(part) && text.contains("mapping.yaml"), "\(text)")
  }

  @Test func manyRulesAreRefused() throws {
    let rule = "- {pattern: \"a\", skip: true}\n"
    let text = try set(String(repeating: rule, count: 257)).refusal()
    #expect(text.contains("257 rules"))
  }

  // MARK: Patterns

  private func match(_ pattern: String, _ path: String) throws -> [String: String]? {
    try PathTemplate(pattern).match(BytePath(path))?.mapValues {
      String(decoding: $0, as: UTF8.self)
    }
  }

  @Test func patternsMatchWholePaths() throws {
    #expect(try match("a/*.png", "a/b.png") == [:])
    #expect(try match("a/*.png", "a/b/c.png") == nil)
    #expect(try match("a/**", "a/b/c.png") == [:])
    #expect(try match("a/**/c.png", "a/c.png") == [:])
    #expect(try match("**/c.png", "x/y/z/c.png") == [:])
    #expect(try match("a/**", "a") == nil)
    #expect(try match("{a}_{b}.mp4", "000_003.mp4") == ["a": "000", "b": "003"])
    #expect(try match("{a}_{b}.mp4", "x_y_z.mp4") == ["a": "x", "b": "y_z"])
    #expect(try match("{a}/{b}-f*.png", "v/w-f0-f1.png") == ["a": "v", "b": "w"])
    #expect(try match("{a}x", "x") == nil)
    #expect(try match("*{a}*", "q") == ["a": "q"])
    #expect(try match("**/{v}/*.png", "v1/v2/0.png") == ["v": "v2"])
    #expect(try match("./a//b", "a/b") == [:])
  }

  /// Patterns that make other matchers try for ever.
  @Test func hostilePatternsEnd() throws {
    let stars = String(repeating: "*a", count: 400)
    #expect(try match(stars, String(repeating: "a", count: 250) + "b") == nil)
    let folders = String(repeating: "**/a/", count: 100) + "b"
    #expect(try match(folders, String(repeating: "a/", count: 120) + "c") == nil)
  }
}
