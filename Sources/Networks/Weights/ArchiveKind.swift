import Foundations

extension ZipArchive {
  /// What an archive is that `torch.save` did not write, and what to do, to be said after its path.
  var whatItIs: String {
    let names = entries.map(\.name)
    func has(_ name: String) -> Bool { names.contains { $0 == name || $0.hasSuffix("/" + name) } }
    func first(_ endings: [String]) -> String? {
      names.first { name in endings.contains { name.hasSuffix($0) } }
    }
    guard !names.isEmpty else { return "is a ZIP archive of no file, not of torch.save" }
    if has("serialized_exported_program.json") || has("archive_format")
      || names.contains(where: { $0.contains("data/weights/") || $0.contains("models/model.json") })
    {
      return "is a program of torch.export, which is not read here: save its state_dict() with "
        + "torch.save"
    }
    if names.contains(where: { $0.contains(".data/extern_modules") }) {
      return "is a package of torch.package, which is not read here: save the state_dict() of its "
        + "model with torch.save"
    }
    if has("model.json"), names.contains(where: { $0.contains("tensors/") }) {
      return "is a TorchScript program of PyTorch 1.3 or before, which is not read here: open it "
        + "with torch.jit.load and save its state_dict() with torch.save"
    }
    if has("model.weights.h5") {
      return "is a model of Keras, whose weights are not read here"
    }
    if names.allSatisfy({ $0.hasSuffix(".npy") }) {
      return "is an archive of NumPy (.npz) with \(names.count) arrays such as "
        + "'\(printable(String(names[0].dropLast(4))))', not of torch.save: save them as tensors"
    }
    if let inner = first([".pth", ".pt", ".safetensors", ".ckpt", ".pth.tar", "/data.pkl"]) {
      return "is a ZIP archive that '\(printable(inner))' lies in: unpack it and give that"
    }
    let count = names.count == 1 ? "one file," : "\(names.count) files such as"
    return "is a ZIP archive of \(count) '\(printable(names[0]))', not of torch.save"
  }
}
