output "client_ids" {
  description = "Client ids by what each may do: push, deploy."
  value       = { for name, one in azurerm_user_assigned_identity.this : name => one.client_id }
}
