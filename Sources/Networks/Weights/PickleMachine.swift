/// Reads a pickle as data. Python's own reader builds objects by calling whatever functions a pickle
/// names; this one calls nothing and builds no class: it keeps containers and plain values, knows the
/// few calls by which PyTorch tells of a tensor (``call(_:with:)``), and of everything else keeps
/// only what the file says.
///
/// The operations are those of protocols 0 to 5 (`pickletools` of Python describes each). Nesting
/// costs no stack here, and memory is bounded by ``maximumOperations``, each of which makes one value
/// at most.
struct PickleMachine {
  /// What is wrong with a pickle, to be said after the file's path.
  struct Problem: Error {
    var text: String
  }

  /// Whether what was read so far can only be torch.save's; for messages.
  var isOfTorch = false

  /// Far more than a detector with its optimizer needs (some fifty for each tensor).
  static let maximumOperations = 8 << 20
  /// Containers, objects, tensors.
  static let maximumNodes = 2 << 20
  /// Texts longer than this are not kept: the source of a class, never a name.
  static let maximumText = 1 << 16

  var nodes: [PickleNode] = []
  var storages: [PickledStorage] = []
  var tensors: [PickledTensor] = []
  /// Elements copied from one container to another, which no operation pays for.
  var copied = 0

  private var input: ByteWindow
  private var operations = 0
  private var stack: [PickleValue] = []
  /// The stack's heights where marks were set.
  private var marks: [Int] = []
  private var memo: [UInt64: PickleValue] = [:]

  init(_ input: ByteWindow) { self.input = input }

  /// Where the next byte lies.
  var position: Int { input.position }

  /// Reads one pickle, up to and with its end; what is read before stays among the nodes.
  /// - Throws: ``Problem``, `FileError`.
  mutating func run() throws -> PickleValue {
    stack.removeAll()
    marks.removeAll()
    memo.removeAll()
    do {
      while true {
        operations += 1
        guard operations <= Self.maximumOperations, nodes.count <= Self.maximumNodes else {
          throw Problem(text: "holds too many values for a file of weights")
        }
        let place = position
        let operation = try input.byte()
        if operation == UInt8(ascii: ".") { return try pop() }
        try perform(operation, at: place)
      }
    } catch is ByteWindow.Ended {
      throw Problem(text: "is cut off or damaged: its pickle does not end")
    }
  }

  mutating func add(_ node: PickleNode) -> PickleValue {
    nodes.append(node)
    return .node(nodes.count - 1)
  }

  // MARK: Operations

  private mutating func perform(_ operation: UInt8, at place: Int) throws {
    switch operation {
    // Frame and protocol.
    case 0x80:
      let version = try input.byte()
      guard version <= 5 else {
        throw Problem(text: "is damaged: a pickle of protocol \(version) is not known")
      }
    case 0x95: _ = try input.unsigned(8)

    // Plain values.
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.boolean(true))
    case 0x89: stack.append(.boolean(false))
    case UInt8(ascii: "J"):
      stack.append(.integer(Int(Int32(truncatingIfNeeded: try input.unsigned(4)))))
    case UInt8(ascii: "K"): stack.append(.integer(Int(try input.unsigned(1))))
    case UInt8(ascii: "M"): stack.append(.integer(Int(try input.unsigned(2))))
    case 0x8a: stack.append(integer(try input.take(Int(try input.byte()))))
    case 0x8b: stack.append(integer(try input.take(try length(4))))
    case UInt8(ascii: "I"), UInt8(ascii: "L"): stack.append(try decimal())
    case UInt8(ascii: "F"):
      _ = try line()
      stack.append(.number)
    case UInt8(ascii: "G"):
      try input.skip(8)
      stack.append(.number)

    // Texts and bytes.
    case UInt8(ascii: "X"), UInt8(ascii: "T"): stack.append(try text(length(4)))
    case 0x8c, UInt8(ascii: "U"): stack.append(try text(length(1)))
    case 0x8d: stack.append(try text(length(8)))
    case UInt8(ascii: "S"), UInt8(ascii: "V"): stack.append(try textLine(operation))
    case UInt8(ascii: "C"): try blob(1)
    case UInt8(ascii: "B"): try blob(4)
    case 0x8e, 0x96: try blob(8)

    // Containers.
    case UInt8(ascii: "]"): stack.append(add(.init(kind: .list)))
    case UInt8(ascii: ")"): stack.append(add(.init(kind: .tuple)))
    case UInt8(ascii: "}"): stack.append(add(.init(kind: .dictionary)))
    case 0x8f: stack.append(add(.init(kind: .set)))
    case UInt8(ascii: "l"): try container(.list, popToMark())
    case UInt8(ascii: "t"): try container(.tuple, popToMark())
    case 0x91: try container(.set, popToMark())
    case UInt8(ascii: "d"): try container(.dictionary, popPairs())
    case 0x85: try container(.tuple, pop(1))
    case 0x86: try container(.tuple, pop(2))
    case 0x87: try container(.tuple, pop(3))
    case UInt8(ascii: "a"): try append(pop(1))
    case UInt8(ascii: "e"): try append(popToMark())
    case 0x90: try append(popToMark())
    case UInt8(ascii: "s"): try store(pop(2))
    case UInt8(ascii: "u"): try store(popPairs())

    // The stack and the memo.
    case UInt8(ascii: "("): marks.append(stack.count)
    case UInt8(ascii: "0"):
      if marks.last == stack.count { marks.removeLast() } else { _ = try pop() }
    case UInt8(ascii: "1"): _ = try popToMark()
    case UInt8(ascii: "2"): stack.append(try top())
    case UInt8(ascii: "p"): memo[try index()] = try top()
    case UInt8(ascii: "q"): memo[try input.unsigned(1)] = try top()
    case UInt8(ascii: "r"): memo[try input.unsigned(4)] = try top()
    case 0x94: memo[UInt64(memo.count)] = try top()
    case UInt8(ascii: "g"): try recall(index())
    case UInt8(ascii: "h"): try recall(input.unsigned(1))
    case UInt8(ascii: "j"): try recall(input.unsigned(4))

    // Classes, calls and objects.
    case UInt8(ascii: "c"): stack.append(add(.init(kind: .global(try globalLines()))))
    case 0x93:
      let names = try pop(2)
      guard let module = names[0].text, let name = names[1].text else { throw damaged(place) }
      stack.append(add(.init(kind: .global(Self.global(module, name)))))
    case UInt8(ascii: "R"):
      let values = try pop(2)
      stack.append(try call(values[0], with: values[1]))
    case UInt8(ascii: "i"):
      let global = try globalLines()
      let arguments = try popToMark()
      let tuple = add(.init(kind: .tuple, elements: arguments))
      stack.append(try call(add(.init(kind: .global(global))), with: tuple))
    case UInt8(ascii: "o"):
      let values = try popToMark()
      guard let callee = values.first else { throw damaged(place) }
      let tuple = add(.init(kind: .tuple, elements: Array(values.dropFirst())))
      stack.append(try call(callee, with: tuple))
    case 0x81:
      let values = try pop(2)
      stack.append(try call(values[0], with: values[1]))
    case 0x92:
      let values = try pop(3)
      let object = try call(values[0], with: values[1])
      if let node = object.node, case .object = nodes[node].kind {
        nodes[node].arguments.append(values[2])
      }
      stack.append(object)
    case UInt8(ascii: "b"):
      let state = try pop()
      try build(try top(), state)
    case UInt8(ascii: "Q"): stack.append(try persistent(pop()))
    case UInt8(ascii: "P"), 0x82, 0x83, 0x84, 0x97, 0x98:
      throw Problem(
        text: "holds a pickle that refers to something outside of it, at byte \(place), which "
          + "torch.save does not write")
    default: throw damaged(place)
    }
  }

  private func damaged(_ place: Int) -> Problem {
    let what =
      isOfTorch
      ? "is a file of torch.save in its older form, but damaged or cut off"
      : "is damaged, or no file of torch.save"
    return Problem(text: "\(what): its pickle makes no sense at byte \(place)")
  }

  // MARK: The stack

  private func top() throws -> PickleValue {
    guard stack.count > (marks.last ?? 0), let value = stack.last else { throw damaged(position) }
    return value
  }

  private mutating func pop() throws -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw damaged(position) }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws -> [PickleValue] {
    guard let mark = marks.popLast() else { throw damaged(position) }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  private mutating func popPairs() throws -> [PickleValue] {
    let values = try popToMark()
    guard values.count.isMultiple(of: 2) else { throw damaged(position) }
    return values
  }

  private mutating func recall(_ index: UInt64) throws {
    guard let value = memo[index] else { throw damaged(position) }
    stack.append(value)
  }

  private mutating func container(_ kind: PickleNode.Kind, _ elements: [PickleValue]) throws {
    stack.append(add(.init(kind: kind, elements: elements)))
  }

  /// Appends to the list, set or object at the top.
  private mutating func append(_ values: [PickleValue]) throws {
    guard let node = try top().node else { throw damaged(position) }
    switch nodes[node].kind {
    case .list, .set: nodes[node].elements += values
    case .object: nodes[node].arguments += values
    case .plain: break
    default: throw damaged(position)
    }
  }

  /// Stores keys and values into the dictionary or object at the top.
  private mutating func store(_ pairs: [PickleValue]) throws {
    guard let node = try top().node else { throw damaged(position) }
    switch nodes[node].kind {
    case .dictionary, .object: nodes[node].elements += pairs
    case .plain: break
    default: throw damaged(position)
    }
  }

  // MARK: What the input holds

  /// - Throws: where more is said to come than there is: nothing is reserved for it.
  private mutating func length(_ size: Int) throws -> Int {
    let length = try input.unsigned(size)
    guard length <= UInt64(input.remaining) else { throw ByteWindow.Ended() }
    return Int(length)
  }

  private mutating func blob(_ size: Int) throws {
    try input.skip(length(size))
    stack.append(.blob)
  }

  private mutating func text(_ length: Int) throws -> PickleValue {
    guard length <= Self.maximumText else {
      try input.skip(length)
      return .blob
    }
    return .text(String(decoding: try input.take(length), as: UTF8.self))
  }

  /// A number of any length in two's complement, little-endian.
  private func integer(_ bytes: [UInt8]) -> PickleValue {
    guard bytes.count <= 8 else { return .wideInteger(Array(bytes.prefix(64))) }
    var value = bytes.last.map { $0 & 0x80 == 0 ? 0 : -1 } ?? 0
    for byte in bytes.reversed() { value = value << 8 | Int(byte) }
    return .integer(value)
  }

  /// The bytes up to the end of the line, without it.
  private mutating func line() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let byte = try input.byte()
      if byte == UInt8(ascii: "\n") { return bytes }
      guard bytes.count < Self.maximumText else { throw damaged(position) }
      bytes.append(byte)
    }
  }

  private mutating func decimal() throws -> PickleValue {
    let place = position
    var digits = try line()
    // Truth values in protocol 0.
    if digits.elementsEqual("00".utf8) { return .boolean(false) }
    if digits.elementsEqual("01".utf8) { return .boolean(true) }
    if digits.last == UInt8(ascii: "L") { digits.removeLast() }
    guard let value = Int(String(decoding: digits, as: UTF8.self)) else { throw damaged(place) }
    return .integer(value)
  }

  /// A place in the memo, in decimal.
  private mutating func index() throws -> UInt64 {
    let place = position
    guard let value = UInt64(String(decoding: try line(), as: UTF8.self)) else {
      throw damaged(place)
    }
    return value
  }

  /// A text of protocol 0: `S` quoted, `V` bare; none that matters here has escapes.
  private mutating func textLine(_ operation: UInt8) throws -> PickleValue {
    let place = position
    var bytes = try line()
    if operation == UInt8(ascii: "S") {
      guard bytes.count >= 2, let quote = bytes.first, quote == bytes.last,
        quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"")
      else { throw damaged(place) }
      bytes = Array(bytes.dropFirst().dropLast())
    }
    // One with escapes is not the text that it seems to be.
    guard !bytes.contains(UInt8(ascii: "\\")) else { return .blob }
    return .text(String(decoding: bytes, as: UTF8.self))
  }

  private mutating func globalLines() throws -> PickleGlobal {
    let module = String(decoding: try line(), as: UTF8.self)
    return Self.global(module, String(decoding: try line(), as: UTF8.self))
  }

  /// Names of Python 2 are those of Python 3.
  private static func global(_ module: String, _ name: String) -> PickleGlobal {
    switch module {
    case "__builtin__": PickleGlobal(module: "builtins", name: name)
    case "copy_reg": PickleGlobal(module: "copyreg", name: name)
    default: PickleGlobal(module: module, name: name)
    }
  }
}
