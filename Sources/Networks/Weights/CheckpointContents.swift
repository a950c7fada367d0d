import Foundations

/// What a pickle that PyTorch wrote holds: tensors under the names that `state_dict()` gives them, in
/// dictionaries, lists and whole modules, however they lie in each other.
struct CheckpointContents {
  /// Tensors by name: indices into the machine's.
  private(set) var tensors: [(name: String, index: Int)] = []
  /// What can't be read in its place, and why.
  private(set) var unreadable: [(name: String, why: String)] = []
  /// Classes of modules that were saved whole, as first met.
  private(set) var moduleClasses: [String] = []

  /// Containers lie in each other at most this deep; Xception's modules do six.
  private static let maximumDepth = 64
  /// Bounds what containers that are shared make of a small file.
  private static let maximumSteps = 1 << 20
  private static let maximumNameBytes = 64 << 20
  private static let maximumKeyBytes = 1024

  private let machine: PickleMachine
  private let holdsTensor: [Bool]
  private var open: Set<Int> = []
  /// What was found in states that objects have, which may share them.
  private var partsByState: [Int: ModuleParts?] = [:]
  private var steps = 0
  private var nameBytes = 0

  /// - Throws: `PickleMachine.Problem`.
  init(of root: PickleValue, in machine: PickleMachine) throws {
    self.machine = machine
    holdsTensor = Self.holders(of: machine.nodes)
    try visit(root, name: "")
    var names: Set<[UInt8]> = []
    for name in tensors.map(\.name) + unreadable.map(\.name)
    where !names.insert(Array(name.utf8)).inserted {
      throw PickleMachine.Problem(text: "holds the tensor '\(printable(name))' twice")
    }
  }

  /// Classes of objects that are not modules, by how many there are of them: what is passed over.
  mutating func foreignClasses() -> [String] {
    var counts: [String: Int] = [:]
    for (index, node) in machine.nodes.enumerated() {
      guard case .object(let type) = node.kind, !isProgram(type), !isModule(index) else {
        continue
      }
      counts[type.path, default: 0] += 1
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
  }

  // MARK: The walk

  private mutating func visit(_ value: PickleValue, name: String) throws {
    guard let index = value.node, holdsTensor[index] else { return }
    steps += 1 + machine.nodes[index].elements.count
    nameBytes += name.utf8.count
    guard steps <= Self.maximumSteps, nameBytes <= Self.maximumNameBytes else {
      throw PickleMachine.Problem(text: "holds its parts in each other too often to be true")
    }
    // What holds itself has no more to give.
    guard open.insert(index).inserted else { return }
    defer { open.remove(index) }
    guard open.count <= Self.maximumDepth else {
      throw PickleMachine.Problem(
        text: "holds containers in each other more than \(Self.maximumDepth) deep")
    }

    let node = machine.nodes[index]
    switch node.kind {
    case .tensor(let tensor): found(tensor, name: name)
    case .unreadable(let why): refuse(name, why)
    case .storage: refuse(name, "is a bare storage without a shape")
    case .list, .tuple:
      for (place, element) in node.elements.enumerated() {
        try visit(element, name: Self.join(name, String(place)))
      }
    case .dictionary: try members(node, name: name)
    case .object(let type):
      if let module = moduleParts(index) {
        if !moduleClasses.contains(type.path) { moduleClasses.append(type.path) }
        try visit(module: module, name: name)
      } else if isProgram(type) {
        for case .node(let state) in node.states { try members(machine.nodes[state], name: name) }
      } else {
        refuse(
          name,
          "belongs to an object of the class \(printable(type.path)), which can't be read without "
            + "running its code")
      }
    case .set, .plain: refuse(name, "lies in a set or a number, where no weight is")
    case .global: break
    }
  }

  private mutating func found(_ tensor: Int, name: String) {
    if case .other(let what) = machine.tensors[tensor].type.kind {
      refuse(name, "holds \(what) (\(machine.tensors[tensor].type.name)), which are not read")
    } else {
      tensors.append((name.isEmpty ? "tensor" : name, tensor))
    }
  }

  private mutating func refuse(_ name: String, _ why: String) {
    unreadable.append((name.isEmpty ? "tensor" : name, why))
  }

  private mutating func members(
    _ dictionary: PickleNode, name: String, leavingOut absent: Set<String> = []
  ) throws {
    var keys: Set<[UInt8]> = []
    for (key, value) in dictionary.pairs {
      guard let text = Self.name(of: key) else {
        if let node = value.node, holdsTensor[node] {
          refuse(Self.join(name, "?"), "has a name that is neither a text nor a number")
        }
        continue
      }
      guard keys.insert(Array(text.utf8)).inserted else {
        throw PickleMachine.Problem(
          text: "holds '\(printable(Self.join(name, text)))' twice in one dictionary")
      }
      guard text.utf8.count <= Self.maximumKeyBytes else {
        throw PickleMachine.Problem(
          text: "holds a tensor with a name of \(text.utf8.count) bytes, too long to be true")
      }
      if !absent.contains(text) { try visit(value, name: Self.join(name, text)) }
    }
  }

  private static func name(of key: PickleValue) -> String? {
    switch key {
    case .text(let text): text
    case .integer(let number): String(number)
    default: nil
    }
  }

  private static func join(_ name: String, _ part: String) -> String {
    name.isEmpty ? part : "\(name).\(part)"
  }

  // MARK: Modules

  /// The dictionaries of a module: what `state_dict()` goes through, in its order.
  private struct ModuleParts {
    var parameters: PickleNode?
    var buffers: PickleNode?
    var modules: PickleNode?
    /// Buffers that are no part of `state_dict()`.
    var absent: Set<String> = []
  }

  private mutating func visit(module: ModuleParts, name: String) throws {
    if let parameters = module.parameters { try members(parameters, name: name) }
    if let buffers = module.buffers {
      try members(buffers, name: name, leavingOut: module.absent)
    }
    if let modules = module.modules { try members(modules, name: name) }
  }

  private mutating func isModule(_ index: Int) -> Bool { moduleParts(index) != nil }

  /// Whether an object is part of a TorchScript program, whose attributes are its tensors and modules.
  private func isProgram(_ type: PickleGlobal) -> Bool {
    type.module == "__torch__" || type.module.hasPrefix("__torch__.")
  }

  /// The dictionaries of an object that is a module; nil for any other.
  private mutating func moduleParts(_ index: Int) -> ModuleParts? {
    for state in machine.nodes[index].states {
      guard let state = state.node else { continue }
      if let known = partsByState[state] {
        if let known { return known }
        continue
      }
      guard case .dictionary = machine.nodes[state].kind else { continue }
      var parts = ModuleParts()
      var isModule = false
      let elements = machine.nodes[state].elements
      for place in stride(from: 0, to: elements.count - 1, by: 2) {
        guard let key = elements[place].text, key.hasPrefix("_"),
          let value = elements[place + 1].node
        else { continue }
        switch (key, machine.nodes[value].kind) {
        case ("_parameters", .dictionary): parts.parameters = machine.nodes[value]
        case ("_buffers", .dictionary): parts.buffers = machine.nodes[value]
        case ("_modules", .dictionary): parts.modules = machine.nodes[value]
        case ("_non_persistent_buffers_set", .set):
          parts.absent = Set(machine.nodes[value].elements.compactMap(\.text))
          continue
        default: continue
        }
        isModule = true
      }
      partsByState[state] = .some(isModule ? parts : nil)
      if isModule { return parts }
    }
    return nil
  }

  // MARK: What holds a tensor

  /// For every node whether it is a tensor, a storage or what can't be read in their place, or holds
  /// one, however deep.
  private static func holders(of nodes: [PickleNode]) -> [Bool] {
    var holders: [[Int32]] = .init(repeating: [], count: nodes.count)
    var holds = [Bool](repeating: false, count: nodes.count)
    var reached: [Int] = []
    for (index, node) in nodes.enumerated() {
      switch node.kind {
      case .tensor, .storage, .unreadable:
        holds[index] = true
        reached.append(index)
      default: break
      }
      for value in [node.elements, node.arguments, node.states].joined() {
        if let part = value.node { holders[part].append(Int32(index)) }
      }
    }
    while let index = reached.popLast() {
      for holder in holders[index] where !holds[Int(holder)] {
        holds[Int(holder)] = true
        reached.append(Int(holder))
      }
    }
    return holds
  }
}
