import Foundations
import MessagePassing

/// What a rank is about to do: by which program, which command, with which options and settings. All
/// ranks of a job must say the same of it. Ranks that do not would wait for one another in different
/// places, take each other's messages for something else, or train replicas that are none.
public struct RankStatement: Sendable, Equatable {
  /// A thing that ranks must have in common.
  struct Item: Sendable, Equatable {
    let subject: Subject
    let name: String
    let value: String
  }

  /// What an item is about. Where ranks differ in one subject, the later ones are consequences.
  enum Subject: Int, Sendable, CaseIterable {
    case version, build, command, setting

    /// What to do where ranks differ.
    var advice: String {
      switch self {
      case .version, .build: "copy one rfm to every host"
      case .command: "start all ranks with the same command"
      case .setting: "start all ranks with the same options and settings"
      }
    }
  }

  let items: [Item]

  init(items: [Item]) { self.items = items }

  /// Keys of the configuration in which ranks may differ: what suits each host, and leaves what is
  /// computed alone. Where ranks read shards of their own, `data.train` is their own too.
  static let ownKeys: Set<String> = ["training.threads", "data.prefetch"]

  /// Options in which ranks may differ, likewise; and those whose effect is in the configuration, which
  /// is compared itself.
  static let ownOptions: Set<String> = ["--threads"]
  static let optionsOfConfiguration: Set<String> = ["--config", "--set"]

  /// Options without a value that may stand before a path.
  private static let flags: Set<String> = [
    "--verify", "--splits", "--index", "--detect-grey", "--no-detect-grey", "--any-preprocessing",
  ]

  /// - Parameters:
  ///   - version: of the program.
  ///   - build: tells this build of it from others.
  ///   - arguments: the command line, without the program's name.
  ///   - configuration: as read, where the command has one.
  public init(
    version: String, build: String, arguments: [String], configuration: Configuration?
  ) {
    var items = [
      Item(subject: .version, name: "the version of rfm", value: version),
      Item(subject: .build, name: "the build of rfm", value: build),
      Item(subject: .command, name: "the command", value: arguments.first ?? ""),
    ]
    let ignored =
      Self.ownOptions.union(configuration == nil ? [] : Self.optionsOfConfiguration)
    items += Self.options(arguments.dropFirst()).filter { !ignored.contains($0.name) }
    if let configuration {
      // Values that follow from others may be written out or not.
      let resolved = configuration.resolved(threads: 1)
      for key in Configuration.keys where !Self.ownKeys.contains(key.path) {
        let isOwn = key.path == "data.train" && configuration.data.assignment == .shard
        items.append(
          Item(
            subject: .setting, name: key.path,
            value: isOwn ? "shards of its own" : key.get(resolved).yaml))
      }
    }
    self.items = items
  }

  /// The options and arguments of a command line, each option with its values.
  private static func options(_ words: some Sequence<String>) -> [Item] {
    var order: [String] = []
    var values: [String: [String]] = [:]
    func add(_ name: String, _ value: String?) {
      if values[name] == nil { order.append(name) }
      values[name, default: []] += value.map { [$0] } ?? []
    }
    var open: String?
    var isOver = false
    var arguments = 0
    for word in words {
      if !isOver, word == "--" {
        isOver = true
      } else if !isOver, word.hasPrefix("--"), let sign = word.firstIndex(of: "=") {
        add(String(word[..<sign]), String(word[word.index(after: sign)...]))
        open = nil
      } else if !isOver, word.hasPrefix("--") {
        add(word, nil)
        open = flags.contains(word) ? nil : word
      } else if let name = open, !isOver {
        add(name, word)
        open = nil
      } else {
        arguments += 1
        add("argument \(arguments)", word)
      }
    }
    return order.map { name in
      let given = values[name]!
      return Item(
        subject: .setting, name: name,
        value: given.isEmpty ? "given" : given.joined(separator: " "))
    }
  }

  // MARK: Comparing

  /// Compares with what the other ranks say. Collective: every command does this first, and alike.
  ///
  /// Digests go round, whatever the number of ranks; only where they differ is more told, by the first
  /// rank of each that says something else.
  ///
  /// - Throws: ``DisagreementError``, the same on all ranks; `MPIError`.
  public func agree(_ communicator: Communicator) throws {
    guard communicator.size > 1 else { return }
    let text = encoded
    let all = try communicator.allGather(Self.digest(of: text))
    let width = all.count / communicator.size
    var groups: [(digest: ArraySlice<UInt64>, ranks: [Int])] = []
    var places: [ArraySlice<UInt64>: Int] = [:]
    for rank in 0..<communicator.size {
      let digest = all[rank * width..<(rank + 1) * width]
      if let place = places[digest] {
        groups[place].ranks.append(rank)
      } else {
        places[digest] = groups.count
        groups.append((digest, [rank]))
      }
    }
    guard groups.count > 1 else { return }
    let told = try groups.prefix(Self.mostTold).map { group in
      let first = group.ranks[0]
      return DisagreementError.Party(
        ranks: group.ranks,
        host: try communicator.broadcast(communicator.hostName, from: first),
        statement: RankStatement(decoding: try communicator.broadcast(text, from: first)))
    }
    throw DisagreementError(parties: told)
  }

  /// Where every rank says something else, a few are enough.
  private static let mostTold = 8

  private static func digest(of text: [UInt8]) -> [UInt64] {
    var hash = SHA256()
    hash.update(text)
    let bytes = hash.finish()
    return stride(from: 0, to: bytes.count, by: 8).map { start in
      bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  /// Subject, name and value of each item, each ended by a zero byte, which none of them can have.
  var encoded: [UInt8] {
    items.flatMap { item in
      Array("\(item.subject.rawValue)\0\(item.name)\0\(item.value)\0".utf8)
    }
  }

  init(decoding bytes: [UInt8]) {
    let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    items = stride(from: 0, to: parts.count - 2, by: 3).map { place in
      Item(
        subject: Int(parts[place]).flatMap(Subject.init(rawValue:)) ?? .setting,
        name: parts[place + 1], value: parts[place + 2])
    }
  }

  // MARK: This process

  /// What this process is about to do.
  public static func current(_ configuration: Configuration? = nil) -> RankStatement {
    RankStatement(
      version: RunVersions.rfm, build: MessagePassing.size > 1 ? build : "",
      arguments: Array(CommandLine.arguments.dropFirst()), configuration: configuration)
  }

  /// Tells the running program from other builds of it.
  private static var build: String {
    let path = "/proc/self/exe"
    return (try? SHA256.hexadecimal(ofFile: path)).map { String($0.prefix(16)) } ?? "unknown"
  }
}

/// Ranks of one job are about to do different things.
public struct DisagreementError: ReportableError {
  /// Ranks that say the same.
  struct Party: Sendable {
    let ranks: [Int]
    /// That of the first of them.
    let host: String
    let statement: RankStatement
  }

  /// By their lowest ranks, at least two; rank 0 is in the first.
  let parties: [Party]

  /// More differences than that tell no more.
  private static let mostNamed = 6

  public var description: String {
    for subject in RankStatement.Subject.allCases {
      let differences = differences(in: subject)
      guard !differences.isEmpty else { continue }
      let named = differences.prefix(Self.mostNamed).joined(separator: "; ")
      let more =
        differences.count > Self.mostNamed ? "; and \(differences.count - Self.mostNamed) more" : ""
      return "\(named)\(more): \(subject.advice)"
    }
    return "ranks differ in what they are about to do, and it can't be told in what"
  }

  public var exitStatus: ExitStatus { .badData }

  /// "training.steps: rank 1 on b has 9, rank 0 on a 8", for each item that is not everywhere the same.
  private func differences(in subject: RankStatement.Subject) -> [String] {
    var names: [String] = []
    var values: [[String: String]] = []
    var known: Set<String> = []
    for party in parties {
      var own: [String: String] = [:]
      for item in party.statement.items where item.subject == subject {
        own[item.name] = item.value
        if known.insert(item.name).inserted { names.append(item.name) }
      }
      values.append(own)
    }
    return names.compactMap { name in
      var said: [(value: String?, ranks: [Int], host: String)] = []
      for (party, own) in zip(parties, values) {
        if let place = said.firstIndex(where: { $0.value == own[name] }) {
          said[place].ranks += party.ranks
        } else {
          said.append((own[name], party.ranks, party.host))
        }
      }
      guard said.count > 1 else { return nil }
      // Long values are shown from where they begin to differ.
      let start = Self.firstDifference(said.map { $0.value ?? "" })
      // What differs from rank 0, then rank 0.
      let clauses = (said.dropFirst() + said.prefix(1)).enumerated().map { place, clause in
        let ranks = clause.ranks.sorted()
        let isSeveral = ranks.count > 1
        let whose = "rank\(isSeveral ? "s" : "") \(Watchdog.list(ranks))"
        let host =
          isSeveral || parties.allSatisfy { $0.host == parties[0].host } ? "" : " on \(clause.host)"
        let verb = place > 0 ? "" : isSeveral ? " have" : " has"
        return "\(whose)\(host)\(verb) \(Self.shown(clause.value ?? "", from: start))"
      }
      return "\(name): \(clauses.joined(separator: ", "))"
    }
  }

  /// Characters of a value that are shown.
  private static let mostShown = 160

  /// Where to begin to show values: 0 unless they are long.
  private static func firstDifference(_ values: [String]) -> Int {
    guard values.contains(where: { $0.unicodeScalars.count > mostShown }) else { return 0 }
    let scalars = values.map { Array($0.unicodeScalars) }
    let shortest = scalars.map(\.count).min()!
    let place =
      (0..<shortest).first { place in scalars.contains { $0[place] != scalars[0][place] } }
      ?? shortest
    return max(0, place - mostShown / 4)
  }

  private static func shown(_ value: String, from start: Int) -> String {
    guard !value.isEmpty else { return "nothing" }
    let rest = String(String.UnicodeScalarView(value.unicodeScalars.dropFirst(start)))
    return (start > 0 ? "…" : "") + printable(rest, limit: mostShown)
  }
}
