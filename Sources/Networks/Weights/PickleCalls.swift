import Foundations

// What the calls in a pickle mean, of those that are known here. All others, and all classes, give an
// object of which only what the file has is kept.

extension PickleMachine {
  /// At most so many elements are copied from a list into another container.
  private static let maximumCopied = 2 << 20

  /// The value that calling `callee` with a tuple would give, or making an object of that class.
  mutating func call(_ callee: PickleValue, with arguments: PickleValue) throws -> PickleValue {
    guard let node = callee.node, case .global(let global) = nodes[node].kind else {
      // The result of another call is called.
      return object(PickleGlobal(module: "a call", name: "of what another returned"), arguments)
    }
    guard !Self.reachesTheSystem(global) else {
      throw Problem(
        text: "would run \(printable(global.path)) if Python opened it: no file of weights does "
          + "that. Nothing of it was run here; don't open it elsewhere")
    }
    let values = parts(arguments)
    switch global.path {
    case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
      return try tensor(values, typeAt: nil, metadataAt: 6)
    case "torch._utils._rebuild_tensor_v3":
      return try tensor(values, typeAt: 6, metadataAt: 7)
    case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
      "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer",
      "torch.autograd.variable.Variable", "torch.jit._pickle.restore_type_tag":
      if let first = values.first { return first }
    case "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_doublelist",
      "torch.jit._pickle.build_boollist", "torch.jit._pickle.build_tensorlist":
      if let first = values.first { return first }
    case "torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type",
      "torch.tensor._rebuild_from_type":
      return try subclass(values)
    case "torch.storage._load_from_bytes":
      return unreadable("was written by pickle.dump, not by torch.save")
    case let path where path.hasPrefix("torch._utils._rebuild_"):
      return unreadable(Self.forms[String(path.dropFirst(22))] ?? "is made by \(printable(path))")
    case "torch.jit._pickle.build_tensor_from_id":
      return unreadable("lies outside of the program it belongs to")

    case "collections.OrderedDict", "builtins.dict":
      return try dictionary(values.first)
    case "collections.defaultdict":
      return try dictionary(values.count > 1 ? values[1] : nil)
    case "torch.Size", "builtins.tuple", "builtins.list":
      if let first = values.first { return first }
      return add(.init(kind: .tuple))
    case "builtins.set", "builtins.frozenset":
      return add(.init(kind: .set, elements: try copy(parts(values.first ?? .none))))
    case "copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__":
      if let first = values.first?.node, case .global(let type) = nodes[first].kind {
        guard global.name == "__newobj__", type.module != "copyreg" else {
          return object(type, arguments)
        }
        let rest = try copy(Array(values.dropFirst()))
        return try call(values[0], with: add(.init(kind: .tuple, elements: rest)))
      }
    case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
      return object(PickleGlobal(module: "numpy", name: "ndarray"), arguments)
    case let path where Self.plain.contains(path):
      // What such a call is given is kept, in case it is a tensor.
      return add(.init(kind: .plain, arguments: [arguments]))
    default: break
    }
    return object(global, arguments)
  }

  /// An object is given its state.
  mutating func build(_ object: PickleValue, _ state: PickleValue) throws {
    guard let node = object.node else { return }
    switch nodes[node].kind {
    case .object: nodes[node].states.append(state)
    case .tensor:
      // Tensors of the first PyTorch had their storage set like this.
      if parts(state).prefix(8).contains(where: { isStorage($0) }) {
        nodes[node].kind = .unreadable("is given another storage after it was made")
      }
    // Attributes of a container (`_metadata` of a state_dict) and of known values are no weights.
    default: break
    }
  }

  /// What `persistent_load` of PyTorch would give: a storage, or the class of a module.
  mutating func persistent(_ value: PickleValue) throws -> PickleValue {
    let fields = parts(value)
    switch fields.first?.text {
    case "storage": return try storage(fields)
    case "module":
      // ('module', class, file of its source, source)
      if fields.count >= 2, let node = fields[1].node, case .global = nodes[node].kind {
        return fields[1]
      }
    default: break
    }
    throw Problem(
      text: "is damaged, or no file of torch.save: it refers to neither a storage nor a class")
  }

  // MARK: Parts

  /// The elements of a list, tuple or set; none of anything else.
  func parts(_ value: PickleValue) -> [PickleValue] {
    guard let node = value.node else { return [] }
    switch nodes[node].kind {
    case .list, .tuple, .set: return nodes[node].elements
    default: return []
    }
  }

  private func isStorage(_ value: PickleValue) -> Bool {
    guard let node = value.node, case .storage = nodes[node].kind else { return false }
    return true
  }

  private mutating func object(_ type: PickleGlobal, _ arguments: PickleValue) -> PickleValue {
    add(.init(kind: .object(type), arguments: [arguments]))
  }

  private mutating func unreadable(_ why: String) -> PickleValue {
    add(.init(kind: .unreadable(why)))
  }

  private mutating func copy(_ values: [PickleValue]) throws -> [PickleValue] {
    copied += values.count
    guard copied <= Self.maximumCopied else {
      throw Problem(text: "holds too many values for a file of weights")
    }
    return values
  }

  /// A dictionary of nothing, of another one's contents, or of a list of pairs.
  private mutating func dictionary(_ contents: PickleValue?) throws -> PickleValue {
    var elements: [PickleValue] = []
    if let node = contents?.node, case .dictionary = nodes[node].kind {
      elements = try copy(nodes[node].elements)
    } else if let contents {
      for pair in try copy(parts(contents)) {
        let pair = parts(pair)
        guard pair.count == 2 else {
          throw Problem(text: "is damaged: a dictionary is made of what are no pairs")
        }
        elements += pair
      }
    }
    return add(.init(kind: .dictionary, elements: elements))
  }

  // MARK: Storages and tensors

  /// ('storage', class, key, device, number of elements) and, in the legacy form, None or the view
  /// of it that is meant: (key of the view, first element, number of elements).
  private mutating func storage(_ fields: [PickleValue]) throws -> PickleValue {
    guard fields.count >= 5, let node = fields[1].node, case .global(let global) = nodes[node].kind,
      let key = fields[2].text, let count = fields[4].integer, count >= 0
    else { throw Problem(text: "is damaged: it does not say what a storage is") }
    guard let type = TorchType(storage: global) else {
      throw Problem(
        text: "holds a storage of the class \(printable(global.path)), which is not known here")
    }
    var elements = 0..<count
    if fields.count > 5, case .node = fields[5] {
      let view = parts(fields[5])
      guard view.count == 3, let start = view[1].integer, let length = view[2].integer,
        start >= 0, length >= 0, start <= count, length <= count - start
      else {
        throw Problem(
          text: "is damaged: a view of the storage '\(printable(key))' does not lie inside it")
      }
      elements = start..<start + length
    }
    guard count <= Int.max / 16 else {
      throw Problem(text: "is damaged: the storage '\(printable(key))' is too large to be true")
    }
    storages.append(
      PickledStorage(type: type, key: key, wholeCount: count, elements: elements))
    return add(.init(kind: .storage(storages.count - 1)))
  }

  /// (storage, first element, shape, strides, …)
  private mutating func tensor(
    _ values: [PickleValue], typeAt: Int?, metadataAt: Int
  ) throws -> PickleValue {
    guard values.count >= 4, let node = values[0].node else { throw brokenTensor("its storage") }
    if case .unreadable(let why) = nodes[node].kind { return unreadable(why) }
    guard case .storage(let index) = nodes[node].kind else { throw brokenTensor("its storage") }
    let storage = storages[index]
    var type = storage.type
    if let typeAt {
      guard values.count > typeAt, let node = values[typeAt].node,
        case .global(let global) = nodes[node].kind, global.module == "torch"
      else { throw brokenTensor("its type") }
      guard let known = TorchType(name: global.name) else {
        return unreadable("is of the type \(printable(global.path)), which is not known here")
      }
      // The storage is one of bytes; its elements are counted in the tensor's type.
      guard storage.type.size == 1, storage.elements.lowerBound == 0 else {
        throw brokenTensor("a storage of bytes")
      }
      type = known
    }
    if values.count > metadataAt, let node = values[metadataAt].node,
      case .dictionary = nodes[node].kind, !nodes[node].elements.isEmpty
    {
      // 'conj' and 'neg', which PyTorch writes only where they are true.
      return unreadable("is a conjugate or negated view, which is not read")
    }

    guard parts(values[2]).count <= SafetensorsHeaderParser.maximumRank else {
      return unreadable("has \(parts(values[2]).count) axes, more than any weight")
    }
    guard let offset = values[1].integer, let shape = integers(values[2]),
      parts(values[3]).count == shape.count, let strides = integers(values[3]), offset >= 0,
      (shape + strides).allSatisfy({ $0 >= 0 })
    else { throw brokenTensor("its shape and strides") }
    // The last element that is used must lie in the storage; nothing here may overflow.
    let available =
      storage.elements.count * storage.type.size / type.size
    var count = 1
    var last = offset
    var overflows = false
    for (extent, stride) in zip(shape, strides) {
      let (product, tooMany) = count.multipliedReportingOverflow(by: max(1, extent))
      let (step, tooFar) = max(0, extent - 1).multipliedReportingOverflow(by: stride)
      let (sum, beyond) = last.addingReportingOverflow(step)
      overflows = overflows || tooMany || tooFar || beyond
      (count, last) = (product, sum)
    }
    if shape.contains(0) { (count, last) = (0, offset) }
    guard !overflows, count == 0 ? offset <= available : last < available else {
      throw Problem(
        text: "is damaged: a tensor of shape \(shape) and strides \(strides) from element "
          + "\(offset) on does not lie inside its storage of \(available) elements")
    }
    tensors.append(
      PickledTensor(
        storage: index, type: type, shape: shape, strides: strides,
        offset: storage.elements.lowerBound + offset))
    return add(.init(kind: .tensor(tensors.count - 1)))
  }

  private func brokenTensor(_ what: String) -> Problem {
    Problem(text: "is damaged: it does not say of a tensor what it needs (\(what))")
  }

  /// The integers of a tuple or list; nil if it holds anything else.
  private func integers(_ value: PickleValue) -> [Int]? {
    guard let node = value.node else { return nil }
    switch nodes[node].kind {
    case .tuple, .list: break
    default: return nil
    }
    let integers = nodes[node].elements.compactMap(\.integer)
    return integers.count == nodes[node].elements.count ? integers : nil
  }

  /// (function, class, its arguments, state): a tensor with attributes, or of a class of its own.
  private mutating func subclass(_ values: [PickleValue]) throws -> PickleValue {
    guard values.count >= 3, let node = values[1].node, case .global(let type) = nodes[node].kind
    else { throw brokenTensor("its class") }
    let classes = ["torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"]
    guard classes.contains(type.path) else {
      return unreadable("is of the class \(printable(type.path)), which is not known here")
    }
    // Not to be nested: what is called here is one of the functions for tensors.
    guard let callee = values[0].node, case .global(let global) = nodes[callee].kind,
      global.path.hasPrefix("torch._utils._rebuild_")
    else { return unreadable("is made in a way that is not known here") }
    return try call(values[0], with: values[2])
  }

  /// Tensors that are not read, by the ends of the names of the functions that make them.
  private static let forms: [String: String] = [
    "qtensor": "is quantised: save the network before it is quantised",
    "sparse_tensor": "is sparse: save it after to_dense()",
    "sparse_csr_tensor": "is sparse: save it after to_dense()",
    "nested_tensor": "is a nested tensor, which is no weight",
    "meta_tensor_no_storage": "has no values (it was made on the device 'meta')",
    "device_tensor_from_numpy": "lies on another device: save it after cpu()",
    "device_tensor_from_cpu_tensor": "lies on another device: save it after cpu()",
    "xla_tensor": "lies on an XLA device: save it after cpu()",
    "wrapper_subclass": "is of a class of its own that wraps tensors",
  ]

  /// Values without parts that matter: told of nowhere.
  private static let plain: Set<String> = [
    "_codecs.encode", "builtins.bytearray", "builtins.bytes", "builtins.complex",
    "builtins.object", "builtins.range", "builtins.slice", "datetime.date", "datetime.datetime",
    "datetime.timedelta", "numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar",
    "numpy.dtype", "torch.device", "torch.serialization._get_layout",
  ]

  /// Whether what is called belongs to the system, or runs code. Nothing is run here in any case: this
  /// is to tell the user what kind of file it is.
  private static func reachesTheSystem(_ global: PickleGlobal) -> Bool {
    let modules: Set<String> = [
      "os", "posix", "nt", "subprocess", "pty", "sys", "shutil", "socket", "runpy", "importlib",
      "imp", "pdb", "bdb", "timeit", "cProfile", "ctypes", "webbrowser", "pip", "pickle",
      "_pickle", "marshal", "urllib", "requests", "ftplib", "smtplib",
    ]
    let functions: Set<String> = [
      "builtins.eval", "builtins.exec", "builtins.execfile", "builtins.compile",
      "builtins.open", "builtins.input", "builtins.__import__", "builtins.breakpoint",
      "builtins.apply", "builtins.globals", "builtins.setattr", "builtins.delattr",
      "code.interact", "code.InteractiveInterpreter", "code.InteractiveConsole", "torch.load",
      "torch.serialization.load", "torch.hub.load", "torch.jit.load",
      "torch.utils.cpp_extension.load",
    ]
    // A module may be reached through one that has imported it: ("torch.serialization", "os.system").
    let names = global.name.split(separator: ".").map(String.init).dropLast()
    return modules.contains(String(global.module.prefix { $0 != "." }))
      || functions.contains(global.path) || names.contains(where: modules.contains)
  }
}
