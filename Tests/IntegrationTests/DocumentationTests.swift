import Foundation
import Testing

@testable import Configuration

/// What the pages and comments quote is there: commands with their options, settings, tests.
@Suite struct DocumentationTests {
  /// What stands at the top level.
  private static let topPages = ["README.md", "CONTRIBUTING.md"]

  /// These and the pages beside the sources, by their path in the repository.
  private static let pages: [String: String] = {
    var pages: [String: String] = [:]
    for path in files(below: "Sources", endingWith: ".md") + topPages {
      pages[path] = try? String(contentsOf: repository.appending(path: path), encoding: .utf8)
    }
    return pages
  }()

  private static func files(below folder: String, endingWith suffix: String) -> [String] {
    let names = FileManager.default.enumerator(atPath: repository.appending(path: folder).path)
    return (names?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(suffix) }
      .map { "\(folder)/\($0)" }
  }

  /// Commands that a text quotes: what is called, and the options that follow in the line or in the
  /// lines that continue it.
  ///
  /// - Parameter program: what stands before a command's name, "rfm ".
  private func calls(in text: String, of program: String) -> [(name: String, options: [String])] {
    var lines: [String] = []
    for line in text.components(separatedBy: "\n") {
      if let last = lines.last, last.hasSuffix("\\") {
        lines[lines.count - 1] = last.dropLast() + String(line.drop { "# ".contains($0) })
      } else {
        lines.append(line)
      }
    }
    return lines.filter { $0.contains(program) }.flatMap { line in
      line.components(separatedBy: program).dropFirst().map { call in
        let name = call.prefix { $0.isLowercase || $0 == "-" }
        let rest = call.dropFirst(name.count).prefix { !"`>|)".contains($0) }
        return (String(name), rest.split(separator: " ").map(String.init).filter(isOption))
      }
    }
  }

  private func isOption(_ word: String) -> Bool {
    word.hasPrefix("--") && word.count > 2
      && word.dropFirst(2).allSatisfy { $0.isLowercase || $0 == "-" }
  }

  @Test func everyOptionOfACommandThatIsQuotedExists() throws {
    var texts = Self.pages
    for path in Self.files(below: "configs", endingWith: ".yaml") {
      texts[path] = try String(contentsOf: repository.appending(path: path), encoding: .utf8)
    }
    var help: [String: String] = [:]
    func expect(_ options: [String], of command: [String], in path: String) throws {
      let key = command.joined(separator: " ")
      if help[key] == nil {
        let shown = try Job.run(command[0], command.dropFirst() + ["--help"])
        #expect(shown.succeeded, "\(path): \(shown)")
        help[key] = shown.standardOutput
      }
      for option in options where option != "--help" {
        #expect(help[key]!.contains("\(option)"), "\(path): \(key) \(option)")
      }
    }
    let commands = try Job.run("rfm", ["--help"]).standardOutput.matches(of: /\n  ([a-z]+)\s/)
      .map { String($0.1) }
    #expect(commands.contains("train"))
    var quoted: Set<String> = []
    for (path, text) in texts {
      for (name, options) in calls(in: text, of: "rfm ") where commands.contains(name) {
        quoted.insert(name)
        try expect(options, of: ["rfm", name], in: path)
      }
      for (name, options) in calls(in: text, of: "launch/") {
        let script = repository.appending(path: "launch/\(name)").path
        #expect(
          ["mpijob", "slurm", "peer"].contains(name)
            || FileManager.default.isExecutableFile(atPath: script), "\(path): launch/\(name)")
        // What follows the name of a command is that command's.
        let own = options.prefix { _ in !["local", "cluster", "compare", "slurm"].contains(name) }
        if !own.isEmpty { try expect(Array(own), of: [script], in: path) }
      }
    }
    #expect(quoted.isSuperset(of: ["pack", "train", "evaluate", "prototypes", "attribute"]))
  }

  @Test func everySettingThatIsQuotedExists() throws {
    let sections = Set(Configuration.keys.map { $0.path.prefix { $0 != "." } })
    let files = ["h5", "json", "safetensors", "yaml"]
    var quoted = 0
    for (path, text) in Self.pages {
      for code in text.split(separator: "`") where code.utf8.count < 80 {
        let key = code.prefix { $0.isLowercase || $0.isNumber || "._".contains($0) }
        let parts = key.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count > 1, sections.contains(parts[0]), !files.contains(String(parts[1])),
          key == code || ":=".contains(code[key.endIndex])
        else { continue }
        quoted += 1
        #expect(Configuration.keys.contains { $0.path == key }, "\(path): \(key)")
      }
    }
    #expect(quoted > 20)
  }

  /// The tables of promises name a test for each, CONTRIBUTING those that a new thing touches.
  @Test(arguments: [
    "Sources/Training/Training.docc/Faults.md", "Sources/Training/Training.docc/Reproducibility.md",
    "Sources/FaceShards/FaceShards.docc/BadInput.md",
    "Sources/Reports/Reports.docc/Explanations.md", "CONTRIBUTING.md",
  ]) func everyTestThatIsQuotedExists(path: String) throws {
    var tests: Set<String> = []
    for file in Self.files(below: "Tests", endingWith: ".swift") {
      let text = try String(contentsOf: repository.appending(path: file), encoding: .utf8)
      for part in text.components(separatedBy: "func ").dropFirst() {
        tests.insert(String(part.prefix { $0.isLetter || $0.isNumber }))
      }
    }
    // Of names with four words or more none is a setting, a type or a file.
    let page = try #require(Self.pages[path])
    let names = page.matches(of: /`([a-z]+(?:[A-Z][a-z0-9]*){3,})`/).map { String($0.1) }
    #expect(names.count >= (path.hasSuffix("Faults.md") ? 20 : 0))
    for name in names { #expect(tests.contains(name), "\(path): \(name)") }
  }

  /// A room's page lists what the room has: what was renamed or has moved to another room is found.
  @Test func everyRoomHasAPageThatListsWhatIsThere() throws {
    let rooms = try FileManager.default.contentsOfDirectory(
      atPath: repository.appending(path: "Sources").path
    ).filter { $0 != "Libraries" && !$0.hasPrefix(".") }
    #expect(rooms.count > 15)
    let declaration =
      /public (?:[a-z]+ )*(?:struct|class|enum|protocol|actor|typealias|func) (\w+)/
    var listed = 0
    for room in rooms.sorted() {
      let root = Self.pages["Sources/\(room)/\(room).docc/\(room).md"]
      #expect(root?.hasPrefix("# ``\(room)``\n") == true, "\(room) has no page of its own")
      var declared: Set = [room]
      for file in Self.files(below: "Sources/\(room)", endingWith: ".swift") {
        let text = try String(contentsOf: repository.appending(path: file), encoding: .utf8)
        declared.formUnion(text.matches(of: declaration).map { String($0.1) })
      }
      for (path, text) in Self.pages where path.hasPrefix("Sources/\(room)/") {
        for symbol in text.matches(of: /``(\w+)[^`\n]*``/).map({ String($0.1) }) {
          listed += 1
          #expect(declared.contains(symbol), "\(path): \(symbol) is not in \(room)")
        }
      }
    }
    #expect(listed > 200)
  }

  /// Pages, pictures and files that pages lead to.
  @Test func everyLinkLeadsSomewhere() {
    let articles = Set(Self.pages.keys.map { $0.split(separator: "/").last!.dropLast(3) })
    var found = 0
    for (path, text) in Self.pages {
      for article in text.matches(of: /<doc:(\w+)>/).map({ $0.1 }) {
        found += 1
        #expect(articles.contains(article), "\(path): \(article)")
      }
      // Beside a page of DocC lie its pictures; other pages name files by their place.
      let folder =
        Self.topPages.contains(path)
        ? repository
        : repository.appending(path: path).deletingLastPathComponent()
          .appending(path: "Resources")
      for place in text.matches(of: /\]\(([^)\s:#]+)\)/).map({ String($0.1) }) {
        found += 1
        #expect(
          FileManager.default.fileExists(atPath: folder.appending(path: place).path),
          "\(path): \(place)")
      }
    }
    #expect(found > 50)
  }

  /// The picture of the rooms is that of the package's targets, which name what their files import.
  @Test func theRoomsAreDrawnAsTheyAre() throws {
    let outcome = try Job.run(repository.path + "/launch/rooms", ["--check"])
    #expect(outcome.succeeded, "\(outcome)")
  }
}
