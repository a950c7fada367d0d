import Foundations

/// What others call a network's layers, where it differs from the names here: a table beside each
/// network's declaration.
struct PublishedNames: Sendable {
  /// The head's own name, without `.weight`.
  let head: String
  /// Names of the head in other programs' files; one of them may have a number behind it, as layers
  /// of a sequence have (`last_linear.1` behind a dropout).
  let otherHeads: [String]
  /// Beginnings of names of layers that known programs add and that give no logit.
  let extras: [String]
  /// Other programs' beginnings of names, by those here: each table is another program's.
  var tables: [[String: String]] = []

  /// What a layer is called in another program's file.
  static func renamed(_ name: String, by table: [String: String]) -> String {
    for (own, other) in table where name.hasPrefix(own) {
      return other + name.dropFirst(own.count)
    }
    return name
  }
}

/// Which of a file's tensors are a network's: a function of names alone.
///
/// A file may have all names behind a prefix, because the network was part of something else when it
/// was saved (`module.` of DataParallel, `model.`, `backbone.`), or because a whole training was saved
/// (`state_dict.` beside `optimizer_states.`). The prefix is found by the network's own names: the
/// one behind which all of them are.
struct ResolvedNames: Equatable {
  /// What all names of the network have in front, with the last point; usually empty.
  var prefix = ""
  /// The head's whole name in the file, without `.weight`; nil where there is none.
  var head: String?
  /// Lines about what was left aside.
  var leftAside: [String] = []
  /// Tensors of the network that lie behind the stage in which this one ends.
  private(set) var behind = 0
  /// How the file calls layers, where it is another program's.
  var table: [String: String] = [:]

  /// The whole name in the file of a tensor of the network.
  func fileName(_ name: String) -> String { prefix + PublishedNames.renamed(name, by: table) }

  struct Problem: Error, Equatable {
    let text: String
    /// How many of the network's tensors are there with their shapes; 0 where it is another network.
    var fitting = 0
  }

  /// - Parameters:
  ///   - found: the names in the file and the shapes behind them.
  ///   - body: the network's own names but those of the head, in the order of declaration.
  ///   - beyond: names of the whole network behind the stage in which this one ends; they may be there.
  ///   - network: what messages call it.
  /// - Throws: ``Problem`` where the network is not in the file, or it can't be told which tensors
  ///   it is, or others are there of which nothing is known.
  init(
    _ found: [String: [Int]], body: [(name: String, shape: [Int])], names: PublishedNames,
    network: String, beyond: Set<String> = [], areSame: (String, String) -> Bool
  ) throws(Problem) {
    guard !found.isEmpty else {
      throw Problem(text: "holds no tensor of floating-point numbers")
    }
    let counts = Self.prefixes(of: found, body: body.map(\.name))
    let (best, copies) = try Self.choose(
      counts, of: body.count, network: network,
      areSame: { first, second in body.allSatisfy { areSame(first + $0.name, second + $0.name) } })
    prefix = best
    let missing = body.filter { found[prefix + $0.name] == nil }
    guard 4 * (body.count - missing.count) > body.count else {
      throw Self.nothing(found, missing, network: network)
    }
    // The problem is worth saying of the network that the tensors come closest to.
    let fitting = body.count { layer in
      found[prefix + layer.name].map { Self.fits($0, layer.shape) } ?? false
    }
    do throws(Problem) {
      try check(found, body, copies, names, network, beyond, areSame)
    } catch {
      throw Problem(text: error.text, fitting: fitting)
    }
  }

  /// Looks whether all tensors are there, and what else is; sets ``head`` and ``leftAside``.
  private mutating func check(
    _ found: [String: [Int]], _ body: [(name: String, shape: [Int])], _ copies: [String],
    _ names: PublishedNames, _ network: String, _ beyond: Set<String>,
    _ areSame: (String, String) -> Bool
  ) throws(Problem) {
    let missing = body.filter { found[prefix + $0.name] == nil }
    var rest = Set(found.keys)
    for layer in body { rest.remove(prefix + layer.name) }
    for copy in copies {
      // Its head, too, is the same, or it is another detector.
      let others = rest.filter { $0.hasPrefix(copy) }
      for name in others where !areSame(name, prefix + name.dropFirst(copy.count)) {
        throw Self.twice(prefix, copy, network)
      }
      rest.subtract(others)
    }
    // In the order of declaration: a shape that does not fit says more than what is missing behind it.
    for layer in body {
      guard let shape = found[prefix + layer.name] else {
        throw Self.missing(missing, rest, prefix: prefix, network: network)
      }
      guard Self.fits(shape, layer.shape) else {
        throw Problem(
          text: "tensor \(printable(prefix + layer.name)) has shape \(shape), "
            + "expected \(layer.shape)")
      }
    }
    head = try Self.head(in: rest, prefix: prefix, names: names)
    if let head {
      rest.remove(head + ".weight")
      rest.remove(head + ".bias")
    }
    let others = rest.filter {
      $0.hasPrefix(prefix) && beyond.contains(String($0.dropFirst(prefix.count)))
    }
    behind = others.count
    rest.subtract(others)
    leftAside =
      copies.map { "'\(printable($0))' holds the same weights again" }
      + (try Self.leaveAside(rest, found, prefix: prefix, names: names, network: network))
  }

  /// Whether values of one shape are those of the other: (out, in) for (out, in, 1, 1) too.
  static func fits(_ shape: [Int], _ wanted: [Int]) -> Bool {
    shape == wanted
      || wanted.count == 4 && wanted[2] == 1 && wanted[3] == 1
        && shape == Array(wanted.prefix(2))
  }

  /// The prefix behind which most of the network's names are, and of all others in the file those of
  /// which nothing is known.
  static func closest(
    _ found: [String: [Int]], body: [(name: String, shape: [Int])], names: PublishedNames
  ) -> (prefix: String, strangers: [String]) {
    let counts = prefixes(of: found, body: body.map(\.name))
    let prefix =
      counts.max { a, b in
        // Of equal ones the shortest, and no average of weights.
        (a.value, isAverage(a.key) ? 0 : 1, -a.key.utf8.count, b.key)
          < (b.value, isAverage(b.key) ? 0 : 1, -b.key.utf8.count, a.key)
      }?.key ?? ""
    var rest = Set(found.keys)
    for layer in body { rest.remove(prefix + layer.name) }
    if let head = try? head(in: rest, prefix: prefix, names: names) {
      rest.remove(head + ".weight")
      rest.remove(head + ".bias")
    }
    return (prefix, sort(rest, prefix: prefix, names: names).strangers)
  }

  // MARK: The prefix

  /// How many of the network's names are there behind each prefix.
  private static func prefixes(of found: [String: [Int]], body: [String]) -> [String: Int] {
    let own = Set(body)
    let parts = body.map { $0.utf8.count { $0 == UInt8(ascii: ".") } }.max() ?? 0
    var counts: [String: Int] = [:]
    for name in found.keys {
      // The name's last parts, as many as one of the network's names may have.
      let points = name.utf8.indices.filter { name.utf8[$0] == UInt8(ascii: ".") }
      if own.contains(name) { counts["", default: 0] += 1 }
      for point in points.suffix(parts + 1) {
        let start = name.utf8.index(after: point)
        if own.contains(String(name[start...])) {
          counts[String(name[..<start]), default: 0] += 1
        }
      }
    }
    return counts
  }

  /// Names that averages of weights go by (exponential moving averages).
  private static let averages: Set<String> = [
    "ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "module_ema", "params_ema",
    "net_ema", "averaged_model", "swa_model", "shadow", "shadow_params",
  ]

  private static func isAverage(_ name: String) -> Bool {
    name.split(separator: ".").contains { averages.contains(String($0)) }
  }

  /// The prefix with most of the network's names; among those that have all, the one that is no average
  /// of weights. With it those behind which the same weights are once more.
  private static func choose(
    _ counts: [String: Int], of all: Int, network: String, areSame: (String, String) -> Bool
  ) throws(Problem) -> (prefix: String, copies: [String]) {
    func isBefore(_ a: String, _ b: String) -> Bool { (a.utf8.count, a) < (b.utf8.count, b) }
    let complete = counts.filter { $0.value == all }.keys.sorted(by: isBefore)
    guard let first = complete.first else {
      let most = counts.values.max()
      return (counts.filter { $0.value == most }.keys.min(by: isBefore) ?? "", [])
    }
    let plain = complete.filter { !isAverage($0) }
    guard let chosen = plain.first else { return (first, []) }
    let copies = Array(plain.dropFirst())
    if let other = copies.first(where: { !areSame(chosen, $0) }) {
      throw twice(chosen, other, network)
    }
    // A prefix that is empty is the chosen one: nothing is before it.
    return (chosen, copies)
  }

  private static func twice(_ first: String, _ second: String, _ network: String) -> Problem {
    Problem(
      text: "holds \(network) twice, with names that begin with '\(printable(first))' and with "
        + "'\(printable(second))': write a file with the one that is meant")
  }

  // MARK: The head

  /// The whole name of the head: in the network, or in one of those that it is part of.
  private static func head(
    in rest: Set<String>, prefix: String, names: PublishedNames
  ) throws(Problem) -> String? {
    var scopes = [prefix]
    while let scope = scopes.last, !scope.isEmpty {
      let parts = scope.dropLast().split(separator: ".", omittingEmptySubsequences: false)
      let outer = parts.dropLast().joined(separator: ".")
      scopes.append(outer.isEmpty ? "" : outer + ".")
    }
    let bases = scopes.flatMap { scope in ([names.head] + names.otherHeads).map { scope + $0 } }
    let wanted = Set(bases)
    var heads: Set<String> = []
    for name in rest where name.utf8.suffix(7).elementsEqual(".weight".utf8) {
      let layer = String(name.dropLast(7))
      if wanted.contains(layer) { heads.insert(layer) }
      // A number behind it: a layer of a sequence.
      let parts = layer.split(separator: ".", omittingEmptySubsequences: false)
      if let last = parts.last, !last.isEmpty, last.utf8.count <= 3,
        last.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        wanted.contains(parts.dropLast().joined(separator: "."))
      {
        heads.insert(layer)
      }
    }
    guard heads.count <= 1 else {
      let list = heads.sorted().prefix(4).map { "\(printable($0)).weight" }.joined(separator: ", ")
      throw Problem(
        text: "has more than one layer that may be the head (\(list)): a detector here ends in one "
          + "linear layer")
    }
    return heads.first
  }

  // MARK: The rest

  /// What belongs to a training and not to a network.
  private static let bookkeeping: Set<String> = [
    "optimizer", "optimizers", "optimizer_states", "optimizer_state", "optimizer_state_dict",
    "optim", "opt", "scheduler", "schedulers", "scheduler_state_dict", "lr_scheduler",
    "lr_schedulers", "scaler", "grad_scaler", "amp", "amp_scaler", "criterion", "loss", "loss_fn",
    "loss_func", "loss_function", "callbacks", "loops", "hyper_parameters", "args", "config",
    "epoch", "step", "global_step", "iteration", "iter", "best_acc", "best_auc", "best_loss",
    "best_metric", "metric", "metrics", "rng_state",
  ]

  /// Parts what is left into groups of known origin, with their numbers, and strangers.
  private static func sort(
    _ rest: Set<String>, prefix: String, names: PublishedNames
  ) -> (groups: [String: Int], strangers: [String]) {
    var groups: [String: Int] = [:]
    var strangers: [String] = []
    for name in rest {
      // Counters of batches hold no weights, and every PyTorch model has them.
      if name.utf8.suffix(19).elementsEqual("num_batches_tracked".utf8) { continue }
      // Without the network's own prefix, which may be that of an average.
      let outer = name.hasPrefix(prefix) ? prefix : ""
      let inner = name.dropFirst(outer.count)
      let parts = inner.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      if outer == prefix, let extra = names.extras.first(where: { inner.hasPrefix($0) }) {
        groups[prefix + extra, default: 0] += 1
      } else if let place = parts.firstIndex(where: { averages.contains($0) }) {
        groups[outer + parts[...place].joined(separator: ".") + ".", default: 0] += 1
      } else if outer.isEmpty,
        let place = parts.prefix(2).firstIndex(where: { bookkeeping.contains($0) })
      {
        let isWhole = place == parts.count - 1
        groups[parts[...place].joined(separator: ".") + (isWhole ? "" : "."), default: 0] += 1
      } else {
        strangers.append(name)
      }
    }
    return (groups, strangers)
  }

  private static func leaveAside(
    _ rest: Set<String>, _ found: [String: [Int]], prefix: String, names: PublishedNames,
    network: String
  ) throws(Problem) -> [String] {
    let (groups, strangers) = sort(rest, prefix: prefix, names: names)
    if let first = strangers.min() {
      let shape = found[first] ?? []
      let more = strangers.count - 1
      throw Problem(
        text: "tensor \(printable(first)) \(shape) is not part of \(network)"
          + (more == 0 ? "" : ", nor \(more == 1 ? "is another" : "are \(more) others")"))
    }
    return groups.sorted { $0.key < $1.key }.map {
      "\($0.value) tensor\($0.value == 1 ? "" : "s") of '\(printable($0.key))' "
        + "\($0.value == 1 ? "is" : "are") left aside"
    }
  }

  // MARK: Messages

  private static func nothing(
    _ found: [String: [Int]], _ missing: [(name: String, shape: [Int])], network: String
  ) -> Problem {
    let some = found.keys.sorted().prefix(3).map { printable($0, limit: 60) }
      .joined(separator: ", ")
    let others = missing.count - 1
    return Problem(
      text: "tensor \(missing[0].name) \(missing[0].shape) of \(network) is missing, and \(others) "
        + "others; what it has (\(found.count): \(some)\(found.count > 3 ? ", …" : "")) is another "
        + "network's")
  }

  private static func missing(
    _ missing: [(name: String, shape: [Int])], _ rest: Set<String>, prefix: String, network: String
  ) -> Problem {
    let first = missing[0]
    let whole = prefix + first.name
    var text = "tensor \(printable(whole)) \(first.shape) of \(network) is missing"
    let others = missing.count - 1
    if others > 0 { text += ", and \(others) other\(others == 1 ? "" : "s")" }
    // Bounded: a file may have any number of names.
    if rest.count <= 10_000, let near = nearest(to: whole, among: rest.sorted()) {
      text += "; it has \(printable(near))"
    }
    return Problem(text: text)
  }
}
